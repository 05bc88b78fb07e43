"""Tests of tf_finetune/weights/torch/timm_names.py."""

import numpy as np
import pytest

from tf_finetune.weights.torch import timm_names

# By network: names by which it is known, then pairs of timm and torchvision.
_EFFICIENTNET = ("conv_stem", "blocks.0.0.se.conv_reduce")
_MOBILENET = ("conv_stem", "blocks.1.0.conv_pwl")
_CONVNEXT = ("stem.0", "head.norm")


@pytest.mark.parametrize(
    ("known", "timm", "torchvision"),
    [
        (_EFFICIENTNET, "bn1", "features.0.1"),
        (_EFFICIENTNET, "conv_head", "features.8.0"),
        (_EFFICIENTNET, "blocks.0.0.conv_dw", "features.1.0.block.0.0"),
        (
            _EFFICIENTNET,
            "blocks.0.1.se.conv_expand",
            "features.1.1.block.1.fc2",
        ),
        (_EFFICIENTNET, "blocks.0.0.bn2", "features.1.0.block.2.1"),
        (_EFFICIENTNET, "blocks.3.2.bn1", "features.4.2.block.0.1"),
        (_EFFICIENTNET, "blocks.3.2.conv_dw", "features.4.2.block.1.0"),
        (
            _EFFICIENTNET,
            "blocks.6.0.se.conv_reduce",
            "features.7.0.block.2.fc1",
        ),
        (_EFFICIENTNET, "blocks.6.0.bn3", "features.7.0.block.3.1"),
        (_MOBILENET, "blocks.0.0.bn1", "features.1.conv.0.1"),
        (_MOBILENET, "blocks.0.0.conv_pw", "features.1.conv.1"),
        (_MOBILENET, "blocks.0.0.bn2", "features.1.conv.2"),
        (_MOBILENET, "blocks.1.0.conv_pw", "features.2.conv.0.0"),
        (_MOBILENET, "blocks.2.0.bn2", "features.4.conv.1.1"),
        (_MOBILENET, "blocks.6.0.conv_pwl", "features.17.conv.2"),
        (_MOBILENET, "blocks.6.0.bn3", "features.17.conv.3"),
        (_MOBILENET, "bn2", "features.18.1"),
        (_MOBILENET, "classifier", "classifier.1"),
        (_CONVNEXT, "stages.2.downsample.1", "features.4.1"),
        (_CONVNEXT, "stages.3.blocks.2.mlp.fc2", "features.7.2.block.5"),
        (_CONVNEXT, "head.norm", "classifier.0"),
        (("pre_logits.fc1",), "head.fc", "classifier.6"),
        (("pre_logits.fc1",), "features.28", "features.28"),
        (("conv1",), "layer1.0.conv1", "layer1.0.conv1"),
    ],
)
def test_modules_get_the_names_of_torchvision(known, timm, torchvision):
    names = [f"{each}.weight" for each in (*known, timm)]
    arrays = {name: np.zeros(1) for name in names}
    found = timm_names.translate_names(arrays)
    assert [*found][[*arrays].index(f"{timm}.weight")] == (
        f"{torchvision}.weight"
    )


def test_the_scale_of_a_block_is_its_own():
    arrays = dict.fromkeys(
        ("stem.0.weight", "head.norm.weight", "stages.1.blocks.0.gamma"), 0
    )
    assert "features.3.0.layer_scale" in timm_names.translate_names(arrays)


def test_graphs_that_names_leave_open_are_told():
    assert timm_names.has_ambiguous_graph({"conv_stem.weight": 0})
    assert not timm_names.has_ambiguous_graph({"stem.0.weight": 0})
