"""Batch norm folded into the layer before it."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tf_finetune.backbones import build  # noqa: E402
from tf_finetune.exports import batch_norm_folding, float32_model  # noqa: E402

_LAYERS = {
    "convolution": lambda: keras.layers.Conv2D(6, 3, name="before"),
    "grouped": lambda: keras.layers.Conv2D(6, 3, groups=2, name="before"),
    "without bias": lambda: keras.layers.Conv2D(
        6, 1, use_bias=False, name="before"
    ),
    "depthwise": lambda: keras.layers.DepthwiseConv2D(
        3, depth_multiplier=2, name="before"
    ),
    "separable": lambda: keras.layers.SeparableConv2D(6, 3, name="before"),
    "dense": lambda: keras.layers.Dense(5, use_bias=False, name="before"),
}


def _net(layer, *, norm=None, after=lambda before, maps: maps):
    """Returns images → what comes after `layer` and batch norm."""
    keras.utils.set_random_seed(0)
    images = keras.Input([8, 8, 4])
    before = layer(images)
    norm = norm or keras.layers.BatchNormalization(name="norm")
    return _random(keras.Model(images, after(before, norm(before))))


def _random(model):
    generator = np.random.default_rng(0)
    model.set_weights(
        [
            np.abs(generator.normal(size=each.shape)) + 0.1
            if "variance" in each.path
            else generator.normal(size=each.shape)
            for each in model.weights
        ]
    )
    return model


def _images(model):
    shape = (3, *model.input_shape[1:])
    return np.random.default_rng(1).uniform(0, 2, shape).astype("float32")


def _assert_same(model, found):
    images = _images(model)
    expected = np.asarray(model(images, training=False))
    got = np.asarray(found.model(images, training=False))
    np.testing.assert_allclose(
        got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max()
    )


@pytest.mark.parametrize("kind", _LAYERS)
def test_a_folded_layer_computes_what_both_did(kind):
    model = _net(_LAYERS[kind]())

    found = batch_norm_folding.fold_batch_norms(float32_model.copy_model(model))

    assert found.names == ("norm",) and found.left == ()
    assert "norm" not in [each.name for each in found.model.layers]
    _assert_same(model, found)


def test_folded_weights_are_those_of_the_formula():
    model = _net(keras.layers.Dense(3, name="before"))
    kernel, bias, gamma, beta, mean, variance = model.get_weights()

    found = batch_norm_folding.fold_batch_norms(float32_model.copy_model(model))

    got = found.model.get_layer("before").get_weights()
    scale = gamma / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(got[0], kernel * scale, rtol=1e-6)
    np.testing.assert_allclose(
        got[1], (bias - mean) * scale + beta, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    "settings", [{"scale": False}, {"center": False}, {"epsilon": 0.7}]
)
def test_settings_of_batch_norm_are_obeyed(settings):
    norm = keras.layers.BatchNormalization(name="norm", **settings)
    model = _net(_LAYERS["convolution"](), norm=norm)

    found = batch_norm_folding.fold_batch_norms(float32_model.copy_model(model))

    assert found.names == ("norm",)
    _assert_same(model, found)


_UNFIT = {
    "an activation between": lambda: _net(
        keras.layers.Conv2D(6, 3, activation="relu")
    ),
    "another user of the output": lambda: _net(
        keras.layers.Conv2D(6, 3), after=lambda before, maps: before + maps
    ),
    "the output itself": lambda: _net(
        keras.layers.Conv2D(6, 3), after=lambda before, maps: [before, maps]
    ),
    "another kind of layer": lambda: _net(keras.layers.ReLU()),
    "another axis": lambda: _net(
        keras.layers.Conv2D(6, 3), norm=keras.layers.BatchNormalization(axis=1)
    ),
}


@pytest.mark.parametrize("case", _UNFIT)
def test_what_cannot_be_folded_is_left_as_it_is(case):
    model = _UNFIT[case]()

    found = batch_norm_folding.fold_batch_norms(float32_model.copy_model(model))

    assert found.names == () and len(found.left) == 1
    images = _images(model)
    for mine, theirs in zip(
        keras.tree.flatten(model(images)),
        keras.tree.flatten(found.model(images)),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_a_layer_used_twice_is_left_as_it_is():
    images = keras.Input([8, 8, 4])
    shared = keras.layers.Conv2D(4, 1)
    maps = keras.layers.BatchNormalization()(shared(images))
    model = _random(keras.Model(images, shared(maps)))

    found = batch_norm_folding.fold_batch_norms(float32_model.copy_model(model))

    assert found.names == ()
    _assert_same(model, found)


def test_a_nested_model_is_left_as_it_is():
    inner = _net(_LAYERS["convolution"]())
    images = keras.Input([8, 8, 4])
    model = keras.Model(images, inner(images) * 2)

    found = batch_norm_folding.fold_batch_norms(float32_model.copy_model(model))

    assert found.names == () and found.left == ("norm",)
    _assert_same(model, found)


def test_the_original_is_not_touched():
    model = _net(_LAYERS["convolution"]())
    before = model.get_weights()

    batch_norm_folding.fold_batch_norms(float32_model.copy_model(model))

    assert [each.name for each in model.layers][1:] == ["before", "norm"]
    assert model.layers[1].input is model.inputs[0]
    for mine, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("mobilenet@0.25", 0),
        ("mobilenet_v2", 0),
        ("resnet18", 0),
        # Batch norm behind an addition, before the next block.
        pytest.param("resnet50v2", 17, marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", 0, marks=pytest.mark.slow),
        pytest.param("xception", 0, marks=pytest.mark.slow),
        pytest.param("densenet121", 62, marks=pytest.mark.slow),
    ],
)
def test_backbones_keep_their_numbers(name, left):
    model = build.build(name, image_size=96).model
    norms = [
        each
        for each in model.layers
        if isinstance(each, keras.layers.BatchNormalization)
    ]
    generator = np.random.default_rng(0)
    for norm in norms:
        norm.moving_mean.assign(
            generator.normal(0, 0.1, norm.moving_mean.shape)
        )
        norm.moving_variance.assign(
            generator.uniform(0.5, 2, norm.moving_variance.shape)
        )

    found = batch_norm_folding.fold_batch_norms(float32_model.copy_model(model))

    assert len(found.left) == left
    assert len(found.names) == len(norms) - left
    images = generator.uniform(0, 255, [2, 96, 96, 3]).astype("float32")
    expected = np.asarray(model(images, training=False))
    np.testing.assert_allclose(
        found.model(images, training=False),
        expected,
        rtol=1e-3,
        atol=1e-4 * np.abs(expected).max(),
    )
