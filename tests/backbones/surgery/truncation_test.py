"""A network that ends earlier."""

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.backbones import build
from tf_finetune.backbones.surgery import truncation


@pytest.fixture(scope="module")
def resnet(make_backbone):
    return make_backbone("resnet18")


def test_a_stage_is_the_end_and_its_map_the_last_one(
    resnet, images, assert_survived
):
    shorter, change = truncation.truncate_backbone(resnet, "stage4")
    assert [stage.name for stage in shorter.stages] == [
        "stage1", "stage2", "stage3", "stage4",
    ]  # fmt: skip
    assert list(shorter.feature_maps) == [2, 4, 8, 16]
    assert shorter.model.output_shape == (None, 4, 4, 256)
    assert shorter.feature_maps[16] is shorter.model.outputs[0]
    assert_survived(resnet.model, shorter.model)
    whole = keras.Model(resnet.model.inputs[0], resnet.feature_maps[16])
    np.testing.assert_array_equal(whole(images), shorter.model(images))
    left = shorter.model.count_params()
    assert change.dropped == resnet.model.count_params() - left
    assert "above conv4_block2_out" in change.layers


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("conv3_block1_out", "conv3_block1_out"),
        ("conv3*block2_1_relu", "conv3_block2_1_relu"),
    ],
)
def test_a_layer_by_its_name_or_a_pattern(resnet, where, name):
    shorter, _ = truncation.truncate_backbone(resnet, where)
    assert shorter.model.layers[-1].name == name
    names = {name for stage in shorter.stages for name in stage.layer_names}
    assert names == {layer.name for layer in shorter.model.layers}


def test_several_layers_are_named(resnet):
    with pytest.raises(errors.UsageError) as raised:
        truncation.truncate_backbone(resnet, "conv5_*_out")
    assert "conv5_block1_out, conv5_block2_out" in str(raised.value)


def test_no_layer_lists_what_there_is(resnet):
    with pytest.raises(errors.UsageError) as raised:
        truncation.truncate_backbone(resnet, "stage9")
    message = str(raised.value)
    assert "--cut_at=stage9" in message
    assert "stage1 (32×32×64)" in message
    assert "stage5 (2×2×512)" in message
    assert "conv1_conv" in message


def test_before_the_first_weights_nothing_is_left(resnet):
    with pytest.raises(errors.UsageError, match="not a feature map"):
        truncation.truncate_backbone(resnet, "preprocess")


def test_numbered_names_mean_what_they_mean_in_a_fresh_process():
    # The second network's layers go on counting where the first one's ended.
    ends = [
        truncation.truncate_backbone(
            build.build("mobilenet_v3_small", image_size=32), "re_lu_2"
        )[0]
        for _ in range(2)
    ]
    assert ends[0].model.layers[-1].name != ends[1].model.layers[-1].name
    depths = [len(each.model.layers) for each in ends]
    assert depths[0] == depths[1] > 3
    assert ends[0].model.output_shape == ends[1].model.output_shape
