"""Tests of tf_finetune/heads/decoders.py."""

import keras
import numpy as np
import pytest

from tf_finetune.backbones import build
from tf_finetune.config import model_options
from tf_finetune.heads import catalog as heads
from tf_finetune.heads import decoders


@pytest.fixture(scope="module")
def backbone():
    return build.build("mobilenet_v2@0.35", image_size=64)


def _head(name, backbone, **options):
    options = {"head_units": 8, **options}
    return heads.HEADS.get(name)(
        backbone, model_options.ModelOptions(**options), 3
    )


def _strides(head):
    return [64 // tensor.shape[1] for tensor in head.inputs]


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("fcn_32s", [32]),
        ("fcn_16s", [32, 16]),
        ("fcn_8s", [32, 16, 8]),
        ("deeplab_v3_plus", [16, 4]),
        ("unet", [32, 16, 8, 4, 2]),
    ],
)
def test_it_reads_the_feature_maps_of_its_paper(name, strides, backbone):
    assert _strides(_head(name, backbone)) == strides


def test_the_scores_of_finer_maps_start_at_nothing(backbone):
    head = _head("fcn_8s", backbone)
    top = keras.Model(list(head.inputs), head.logits)
    generator = np.random.default_rng(0)
    coarse, *fine = (
        generator.normal(size=(1, *each.shape[1:])).astype("float32")
        for each in head.inputs
    )
    np.testing.assert_array_equal(
        top([coarse, *fine], training=False),
        top([coarse, *(0 * each for each in fine)], training=False),
    )


def test_the_pyramid_spans_the_same_distance_at_every_output_stride(backbone):
    assert decoders.scale_rates(16) == (6, 12, 18)
    head = _head("deeplab_v3_plus", backbone, output_stride=8)
    assert _strides(head) == [8, 4]
    top = keras.Model(list(head.inputs), head.logits)
    found = [
        top.get_layer(f"deeplab_aspp_{n}_depthwise_conv").dilation_rate
        for n in (1, 2, 3)
    ]
    assert found == [(12, 12), (24, 24), (36, 36)]
    assert top.get_layer("deeplab_fine_conv").filters == 48


def test_units_are_the_width_and_dropout_drops_channels(backbone):
    head = _head("unet", backbone, head_units=32, dropout=0.5)
    top = keras.Model(list(head.inputs), head.logits)
    widths = [top.get_layer(f"unet_{s}_2_conv").filters for s in (16, 8, 4, 2)]
    assert widths == [32, 16, 16, 16]
    assert top.get_layer("head_dropout").rate == 0.5


def test_batch_norms_of_a_decoder_train_over_a_frozen_backbone():
    backbone = build.build("small_cnn", image_size=32)
    head = _head("unet", backbone)
    model = keras.Model(backbone.model.inputs[0], head.logits)
    for layer in backbone.model.layers:
        layer.trainable = False
    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    before = [layer.moving_mean.numpy() for layer in norms]
    pixels = np.random.default_rng(0).uniform(0, 255, [2, 32, 32, 3])
    model(pixels.astype("float32"), training=True)
    moved = {
        layer.name
        for layer, mean in zip(norms, before, strict=True)
        if (layer.moving_mean.numpy() != mean).any()
    }
    assert moved == {e.name for e in norms if e.name.startswith("unet_")}
