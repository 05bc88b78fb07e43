"""Tests of tf_finetune/backbones/dilation.py."""

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.backbones import build, dilation


def _outputs(first, second, size):
    shape = [1, size, size, 3]
    pixels = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
    return [
        np.asarray(each.model(pixels, training=False))
        for each in (first, second)
    ]


# Where a stride-2 kernel is centered: on the first pixel of two, or the second.
@pytest.mark.parametrize(
    ("name", "output_stride", "start"),
    [
        pytest.param("mobilenet_v2@0.35", 16, 1, marks=pytest.mark.slow),
        ("mobilenet_v2@0.35", 8, 3),
        pytest.param("mobilenet_v2+torch", 16, 0, marks=pytest.mark.slow),
        ("resnet18", 16, 0),
        ("resnet18", 8, 0),
        pytest.param("convnext_tiny", 16, 0, marks=pytest.mark.slow),
        # The layers of a stage more, or those of ResNet-18 in blocks of three.
        pytest.param("convnext_tiny", 8, 1, marks=pytest.mark.campaign),
        pytest.param("densenet121", 16, 0, marks=pytest.mark.slow),
        pytest.param("resnet50", 8, 0, marks=pytest.mark.campaign),
        pytest.param("vgg16", 16, 0, marks=pytest.mark.slow),
    ],
)
def test_where_the_pretrained_network_has_values_they_are_the_same(
    name, output_stride, start
):
    before = build.build(name, image_size=64)
    after = dilation.dilate_backbone(before, output_stride)
    coarse, fine = _outputs(before, after, 64)
    assert fine.shape[1] == 64 // output_stride
    step = 32 // output_stride
    np.testing.assert_allclose(
        fine[:, start::step, start::step],
        coarse,
        rtol=1e-3,
        atol=1e-4 * np.abs(coarse).max(),
    )


def test_layers_weights_and_stages_stay():
    before = build.build("mobilenet_v2@0.35", image_size=64)
    after = dilation.dilate_backbone(before, 8)
    assert [e.name for e in after.model.layers] == [
        e.name for e in before.model.layers
    ]
    for ours, theirs in zip(
        after.model.get_weights(), before.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert list(after.feature_maps) == [2, 4, 8]
    assert after.feature_maps[8] is after.model.outputs[0]
    assert [s.layer_names for s in after.stages] == [
        s.layer_names for s in before.stages
    ]
    assert [s.stride for s in after.stages] == [2, 4, 8, 8, 8]
    assert before.model.output_shape[1] == 2


def test_a_backbone_that_is_fine_enough_stays_as_it_is():
    backbone = build.build("small_cnn", image_size=32)
    assert dilation.dilate_backbone(backbone, 16) is backbone


@pytest.mark.parametrize(
    ("name", "output_stride", "reason"),
    [
        ("vgg16", 8, "block5_pool pools 2 neighbors"),
        ("googlenet", 16, "inception5a_4_pool pools 3 neighbors"),
        ("alexnet", 16, "would have"),
    ],
)
def test_what_cannot_be_dilated_says_why(name, output_stride, reason):
    backbone = build.build(name, image_size=96)
    with pytest.raises(errors.UsageError, match=reason) as raised:
        dilation.dilate_backbone(backbone, output_stride)
    assert f"--output_stride={output_stride}" in str(raised.value)
