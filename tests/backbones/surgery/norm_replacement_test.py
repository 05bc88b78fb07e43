"""Norms of single pictures in the place of batch norm."""

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.backbones.surgery import norm_replacement
from tf_finetune.model import fast_batch_norm, inference


@pytest.fixture(scope="module")
def small(make_backbone):
    return make_backbone("small_cnn")


def _normalized(x, groups, gamma, beta, epsilon):
    """Group norm in plain numpy, [batch, height, width, channels]."""
    batch, height, width, channels = x.shape
    parts = x.reshape(batch, height, width, groups, channels // groups)
    mean = parts.mean(axis=(1, 2, 4), keepdims=True)
    variance = parts.var(axis=(1, 2, 4), keepdims=True)
    parts = (parts - mean) / np.sqrt(variance + epsilon)
    return parts.reshape(x.shape) * gamma + beta


@pytest.mark.parametrize(("kind", "groups"), [("group", 24), ("instance", 48)])
def test_scale_and_shift_are_reused_and_the_formula_is_theirs(
    small, images, assert_survived, kind, groups
):
    changed, change = norm_replacement.replace_batch_norms(small, kind)
    names = [
        layer.name
        for layer in small.model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert_survived(small.model, changed.model, but=names)
    for name in names:
        old, new = (m.get_layer(name) for m in (small.model, changed.model))
        assert type(new) is keras.layers.GroupNormalization
        np.testing.assert_array_equal(old.gamma, new.gamma)
        np.testing.assert_array_equal(old.beta, new.beta)
    one = changed.model.get_layer("block2_1_bn")  # 48 channels.
    below, above = (
        np.asarray(keras.Model(changed.model.inputs[0], tensor)(images))
        for tensor in (one.input, one.output)
    )
    expected = _normalized(
        below, groups, np.asarray(one.gamma), np.asarray(one.beta), 1e-3
    )
    np.testing.assert_allclose(above, expected, rtol=1e-3, atol=1e-4)
    assert change.dropped == change.kept  # Two numbers of four a channel.


@pytest.mark.parametrize(
    ("channels", "groups"), [(64, 32), (96, 32), (24, 24), (40, 20), (37, 1)]
)
def test_32_groups_or_the_largest_divisor(channels, groups):
    assert norm_replacement.choose_groups(channels) == groups


def test_what_is_traced_fast_says_the_same(small, images):
    model = norm_replacement.replace_batch_norms(small, "group")[0].model
    with fast_batch_norm.accelerate(model):
        traced = inference.compile_step(model)(images)
    np.testing.assert_allclose(traced, model(images), rtol=1e-3, atol=1e-4)


def test_the_norm_of_one_number_is_refused(make_backbone):
    backbone = make_backbone("resnet18", 32)
    with pytest.raises(errors.UsageError) as raised:
        norm_replacement.replace_batch_norms(backbone, "instance")
    assert "--image_size=32" in str(raised.value)
    assert "--norm=group" in str(raised.value)
    norm_replacement.replace_batch_norms(backbone, "group")


def test_a_network_without_batch_norm_says_so(make_backbone):
    with pytest.raises(errors.UsageError, match="no batch norm"):
        norm_replacement.replace_batch_norms(make_backbone("alexnet"), "group")
