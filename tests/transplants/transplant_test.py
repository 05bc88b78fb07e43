"""Tests of filling a network from a larger one."""

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.backbones import build
from tf_finetune.transplants import transplant


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    return generator.uniform(0, 255, (6, 32, 32, 3)).astype("float32")


@pytest.fixture(scope="module")
def wide():
    """MobileNet 0.5 in which every second channel of each group is silent."""
    keras.utils.set_random_seed(3)
    network = build.build("mobilenet@0.5", image_size=32)
    for layer in network.model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # Far from 0, so that no other channel is silent by chance.
            is_active = np.tile([1.0, 0.0], layer.gamma.shape[0] // 2)
            layer.gamma.assign(0.5 * is_active)
            layer.beta.assign(2.0 * is_active)
            layer.moving_mean.assign(0.1 * is_active)
    return network


def test_channels_without_activation_are_left_out_and_nothing_is_lost(
    wide, images
):
    narrow = build.build("mobilenet@0.25", image_size=32)
    layers = transplant.fill_network(narrow, wide, images, seed=0)
    expected = np.asarray(wide.model(images))
    assert np.abs(expected[..., 1::2]).max() == 0.0
    found = np.asarray(narrow.model(images))
    # Small differences: the ridge shrinks each kernel by about a hundredth.
    scale = np.abs(expected).max()
    assert np.abs(found - expected[..., ::2]).max() < 0.1 * scale
    assert layers[0].unexplained is None
    assert (layers[0].kept, layers[0].available) == (8, 16)
    assert all(each.unexplained < 0.01 for each in layers if each.unexplained)


def test_a_network_of_the_same_size_is_copied_bit_by_bit(wide, images):
    twin = build.build("mobilenet@0.5", image_size=32)
    layers = transplant.fill_network(twin, wide, images, seed=0)
    for mine, theirs in zip(
        twin.model.weights, wide.model.weights, strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    assert {each.unexplained for each in layers} == {None}


def test_a_narrower_network_is_refused(wide, images):
    broad = build.build("mobilenet@1", image_size=32)
    with pytest.raises(errors.UsageError, match=r"mobilenet@0\.5 has 16 "):
        transplant.fill_network(broad, wide, images, seed=0)


def test_another_family_is_refused(wide, images):
    other = build.build("mobilenet_v2@0.5", image_size=32)
    with pytest.raises(errors.UsageError, match="same family"):
        transplant.fill_network(other, wide, images, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("large", "small"),
    [
        ("mobilenet_v2", "mobilenet_v2@0.5"),
        ("resnet34", "resnet18"),
        ("efficientnet_b1", "efficientnet_b0"),
    ],
)
def test_families_with_sums_products_and_depths_are_filled(
    large, small, images
):
    source, target = (
        build.build(name, image_size=32) for name in (large, small)
    )
    layers = transplant.fill_network(target, source, images, seed=0)
    assert np.isfinite(np.asarray(target.model(images))).all()
    table = transplant.format_table(layers)
    assert all(len(line) <= 80 for line in table.splitlines())
