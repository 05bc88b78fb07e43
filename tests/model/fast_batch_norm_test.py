"""Tests of tf_finetune/model/fast_batch_norm.py."""

import collections

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.backbones import build
from tf_finetune.model import fast_batch_norm, inference

# Numbers of optimized graphs are what these tests are about.
pytestmark = pytest.mark.optimizer


def _net(**settings) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input([6, 6, 3])
    maps = keras.layers.Conv2D(5, 3)(inputs)
    maps = keras.layers.BatchNormalization(name="norm", **settings)(maps)
    outputs = keras.layers.GlobalAveragePooling2D()(maps**2)
    return keras.Model(inputs, outputs)


def _batches(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    generator = np.random.default_rng(0)
    return [
        (
            generator.normal(2, 3, [size, 6, 6, 3]).astype("float32"),
            generator.normal(size=[size, 5]).astype("float32"),
        )
        for size in (8, 7, 1, 8)[:count]
    ]


@pytest.mark.parametrize(
    "settings",
    [{}, {"scale": False}, {"center": False, "momentum": 0.5, "epsilon": 1.0}],
    ids=["usual", "no scale", "no offset"],
)
@pytest.mark.parametrize("trainable", [True, False])
def test_training_is_that_of_keras(settings, trainable):
    plain, fused = _net(**settings), _net(**settings)
    for model in (plain, fused):
        model.get_layer("norm").trainable = trainable
        # With fixed statistics a higher rate diverges, and NaN equals NaN.
        rate = 0.05 if trainable else 0.005
        model.compile(keras.optimizers.SGD(rate, momentum=0.9), "mse")
    for images, targets in _batches(4):
        plain.train_on_batch(images, targets)
        with fast_batch_norm.accelerate(fused):
            fused.train_on_batch(images, targets)
    for one, other in zip(
        plain.get_weights(), fused.get_weights(), strict=True
    ):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


def _operations(model: keras.Model, training: bool) -> collections.Counter:
    """Counts the kinds of operations that a forward pass really runs."""
    function = tf.function(lambda x: model(x, training=training))
    concrete = function.get_concrete_function(tf.zeros([2, 6, 6, 3]))
    used, waiting = {}, [*concrete.outputs]
    while waiting:
        operation = waiting.pop().op
        if operation.name not in used:
            used[operation.name] = operation.type
            waiting += operation.inputs
    return collections.Counter(used.values())


def test_statistics_of_the_batch_are_those_of_one_kernel():
    model = _net()
    with fast_batch_norm.accelerate(model):
        assert _operations(model, True)["FusedBatchNormV3"] == 1
    assert "FusedBatchNormV3" not in _operations(model, True)


@pytest.mark.parametrize("training", [True, False])
def test_fixed_statistics_leave_a_convolution_and_its_bias(training):
    model = _net()
    model.get_layer("norm").trainable = not training
    with fast_batch_norm.accelerate(model):
        inside = _operations(model, training)
    assert inside["Conv2D"] == inside["BiasAdd"] == 1
    assert "FusedBatchNormV3" not in inside
    assert inside != _operations(model, training)


def _varied(seed: int, layers: list[keras.Layer]) -> keras.Model:
    """Returns layers in a row, all weights and statistics being drawn."""
    inputs = keras.Input([9, 9, 6])
    maps = inputs
    for layer in layers:
        maps = layer(maps)
    model = keras.Model(inputs, maps)
    generator = np.random.default_rng(seed)
    model.set_weights(
        [
            generator.uniform(0.3, 2, each.shape)
            if "variance" in each.path
            else generator.normal(size=each.shape)
            for each in model.weights
        ]
    )
    return model


def _assert_as_in_keras(model):
    images = np.random.default_rng(1).normal(size=[3, 9, 9, 6]).astype("f4")
    np.testing.assert_allclose(
        inference.compile_step(model)(tf.constant(images)),
        model(images, training=False),
        rtol=1e-4,
        atol=1e-4,
    )


_KINDS = {
    "plain": lambda: [keras.layers.Conv2D(4, 3)],
    "without bias": lambda: [keras.layers.Conv2D(4, 3, use_bias=False)],
    "strides": lambda: [keras.layers.Conv2D(4, 3, 2, padding="same")],
    "dilation": lambda: [keras.layers.Conv2D(4, 3, dilation_rate=2)],
    "groups": lambda: [keras.layers.Conv2D(4, 3, groups=2)],
    "depthwise": lambda: [keras.layers.DepthwiseConv2D(3, 2, padding="same")],
    "multiplier": lambda: [
        keras.layers.DepthwiseConv2D(3, depth_multiplier=3, use_bias=False)
    ],
    "activation": lambda: [keras.layers.Conv2D(4, 3, activation="relu")],
    "no convolution": lambda: [keras.layers.ReLU()],
    "separable": lambda: [keras.layers.SeparableConv2D(4, 3)],
}


@pytest.mark.parametrize("kind", _KINDS)
def test_compiled_inference_is_that_of_keras(kind):
    model = _varied(0, [*_KINDS[kind](), keras.layers.BatchNormalization()])
    _assert_as_in_keras(model)


def test_a_convolution_that_others_read_too_stays_what_it_is():
    inputs = keras.Input([9, 9, 6])
    maps = keras.layers.Conv2D(4, 3)(inputs)
    outputs = [maps, keras.layers.BatchNormalization(epsilon=1.0)(maps)]
    model = keras.Model(inputs, outputs)
    images = np.random.default_rng(1).normal(size=[3, 9, 9, 6]).astype("f4")
    for one, other in zip(
        inference.compile_step(model)(tf.constant(images)),
        model(images, training=False),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_layers_in_models_in_models_are_meant_too():
    inner = _varied(0, [keras.layers.Conv2D(4, 3)])
    middle = keras.Sequential([inner, keras.layers.BatchNormalization()])
    inputs = keras.Input([9, 9, 6])
    model = keras.Model(inputs, middle(inputs))
    with fast_batch_norm.accelerate(model):
        assert "call" in vars(inner.layers[-1])
        assert "call" in vars(middle.layers[-1])
    _assert_as_in_keras(model)


def test_layers_that_are_called_twice_keep_their_calls_apart():
    generator = np.random.default_rng(2)
    convolution = keras.layers.Conv2D(6, 3, padding="same")
    first, second = (keras.layers.BatchNormalization() for _ in range(2))
    inputs = keras.Input([9, 9, 6])
    maps = first(convolution(inputs))
    maps = second(convolution(maps)) + first(convolution(maps))
    model = keras.Model(inputs, maps)
    for weight in model.weights:
        weight.assign(generator.uniform(0.2, 0.6, weight.shape))
    _assert_as_in_keras(model)


def test_half_precision_is_left_to_keras():
    model = _net()
    norm = model.get_layer("norm")
    for layer in model.layers:
        layer.dtype_policy = "mixed_bfloat16"
    images = np.random.default_rng(1).normal(size=[2, 6, 6, 3]).astype("f4")
    expected = tf.function(lambda x: model(x, training=False))(images)
    with fast_batch_norm.accelerate(model):
        assert "call" in vars(norm)
        found = tf.function(lambda x: model(x, training=False))(images)
    np.testing.assert_array_equal(found, expected)


def test_a_model_called_inside_a_block_answers_as_outside():
    model, images = _net(), np.ones([2, 6, 6, 3], "float32")
    expected = model(images, training=False)
    with fast_batch_norm.accelerate(model):
        found = model(images, training=False)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_blocks_of_models_that_share_layers_may_be_nested():
    model = _net()
    norm = model.get_layer("norm")
    part = keras.Model(model.inputs, norm.output)
    with fast_batch_norm.accelerate(model):
        call = vars(norm)["call"]
        with fast_batch_norm.accelerate(part):
            assert vars(norm)["call"] is call
        assert vars(norm)["call"] is call
    assert "call" not in vars(norm)


def test_a_block_that_fails_leaves_the_layers_as_they_were():
    model = _net()
    with pytest.raises(KeyError), fast_batch_norm.accelerate(model):
        raise KeyError
    assert "call" not in vars(model.get_layer("norm"))


def test_other_kinds_are_left_alone():
    inputs = keras.Input([6, 6, 3])
    flat = keras.layers.GlobalAveragePooling2D()(inputs)
    flat = keras.layers.BatchNormalization(name="flat")(flat)
    maps = keras.layers.BatchNormalization(axis=1, name="rows")(inputs)
    both = keras.layers.BatchNormalization(synchronized=True, name="both")(maps)
    model = keras.Model(inputs, [flat, both])
    with fast_batch_norm.accelerate(model):
        for name in ("flat", "rows", "both"):
            assert "call" not in vars(model.get_layer(name))


def test_every_batch_norm_of_a_backbone_is_meant():
    model = build.build("resnet18", image_size=32).model
    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert norms
    with fast_batch_norm.accelerate(model):
        assert all("call" in vars(layer) for layer in norms)
