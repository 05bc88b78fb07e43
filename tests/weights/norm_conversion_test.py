"""Biases and epsilons that one side alone has."""

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.weights import loading


def _network(*, bias, epsilon=1e-3, norms=True, scale=True):
    x = images = keras.Input([16, 16, 3])
    for number in range(2):
        x = keras.layers.Conv2D(
            4, 3, use_bias=bias, padding="same", name=f"conv{number}"
        )(x)
        if norms:
            x = keras.layers.BatchNormalization(
                epsilon=epsilon, scale=scale, name=f"bn{number}"
            )(x)
        x = keras.layers.DepthwiseConv2D(
            3, use_bias=bias, padding="same", name=f"deep{number}"
        )(x)
        x = keras.layers.BatchNormalization(
            epsilon=epsilon, scale=scale, name=f"deep_bn{number}"
        )(x)
    return keras.Model(images, x)


def _settle(network, low=2e-3):
    random = np.random.default_rng(0)
    for layer in network.layers:
        values = [
            random.normal(0, 0.5, each.shape).astype("f4")
            for each in layer.weights
        ]
        if isinstance(layer, keras.layers.BatchNormalization):
            values[-1] = random.uniform(low, 1, 4).astype("f4")
        layer.set_weights(values)
    return network


def _load(tmp_path, make_backbone, theirs, ours, suffix):
    path = tmp_path / f"x{suffix}"
    (theirs.save_weights if "weights" in suffix else theirs.save)(path)
    return loading.load(make_backbone(ours), str(path)).report


def _assert_same(ours, theirs):
    pixels = np.random.default_rng(1).uniform(0, 255, (2, 16, 16, 3))
    expected = np.asarray(theirs(pixels.astype("f4"), training=False))
    found = np.asarray(ours(pixels.astype("f4"), training=False))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_biases_beside_kernels_move_into_the_norms(
    tmp_path, make_backbone, suffix
):
    theirs, ours = _settle(_network(bias=True)), _network(bias=False)
    report = _load(tmp_path, make_backbone, theirs, ours, suffix)
    assert report.complete
    assert report.share == 1
    assert "4 biases beside kernels" in report.notes[0]
    _assert_same(ours, theirs)


def test_absent_biases_are_zero(tmp_path, make_backbone):
    theirs, ours = _settle(_network(bias=False)), _network(bias=True)
    _settle(ours)
    report = _load(tmp_path, make_backbone, theirs, ours, ".weights.h5")
    assert "no bias in 4 layers" in report.notes[0]
    _assert_same(ours, theirs)


def test_a_bias_without_a_norm_behind_it_is_refused(tmp_path, make_backbone):
    theirs = _settle(_network(bias=True, norms=False))
    ours = _network(bias=False, norms=False)
    with pytest.raises(errors.RunError, match="'conv0' in the file has a bias"):
        _load(tmp_path, make_backbone, theirs, ours, ".weights.h5")


@pytest.mark.parametrize("epsilon", [1e-5, 1.1e-5, 1e-2])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_another_epsilon_is_adapted(tmp_path, make_backbone, epsilon, suffix):
    theirs = _settle(_network(bias=False, epsilon=epsilon), low=1e-6)
    ours = _network(bias=False)
    report = _load(tmp_path, make_backbone, theirs, ours, suffix)
    assert f"the epsilon {epsilon:g} were adapted" in report.notes[0]
    _assert_same(ours, theirs)


def test_another_epsilon_without_a_scale_goes_into_the_variance(
    tmp_path, make_backbone
):
    theirs = _settle(_network(bias=False, epsilon=1e-2, scale=False))
    ours = _network(bias=False, scale=False)
    _load(tmp_path, make_backbone, theirs, ours, ".keras")
    _assert_same(ours, theirs)


def test_a_variance_that_is_too_small_for_it_is_refused(
    tmp_path, make_backbone
):
    theirs = _settle(_network(bias=False, epsilon=1e-5, scale=False), low=1e-6)
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign([1e-6] * 4)
    ours = _network(bias=False, scale=False)
    with pytest.raises(errors.RunError, match="epsilon 1e-05.*0.001"):
        _load(tmp_path, make_backbone, theirs, ours, ".keras")


def test_norms_without_their_kernels_are_refused(tmp_path, make_backbone):
    ours = _network(bias=False)
    theirs = keras.Sequential(
        [keras.Input([16, 16, 4])]
        + [
            keras.layers.BatchNormalization(name=each.name)
            for each in ours.layers
            if isinstance(each, keras.layers.BatchNormalization)
        ]
    )
    with pytest.raises(errors.RunError, match="none of the 4 with kernels"):
        _load(tmp_path, make_backbone, theirs, ours, ".weights.h5")
