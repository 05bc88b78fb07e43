"""Tests of tf_finetune/batch_norm.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune import batch_norm, inference
from tf_finetune.backbones import build


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
        model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    for images, targets in _batches(4):
        plain.train_on_batch(images, targets)
        with batch_norm.in_one_kernel(fused):
            fused.train_on_batch(images, targets)
    for one, other in zip(
        plain.get_weights(), fused.get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


def _kinds(function: tf.types.experimental.ConcreteFunction) -> set[str]:
    return {each.type for each in function.graph.get_operations()}


def test_what_is_traced_inside_uses_the_kernel_and_what_is_outside_does_not():
    model = _net()
    images = tf.zeros([2, 6, 6, 3])
    for training in (True, False):

        def traced(model=model, training=training):
            function = tf.function(lambda x: model(x, training=training))
            return _kinds(function.get_concrete_function(images))

        with batch_norm.in_one_kernel(model):
            assert "FusedBatchNormV3" in traced()
        assert "FusedBatchNormV3" not in traced()


def test_compiled_inference_uses_it_and_is_that_of_keras():
    model = _net()
    step = inference.step(model)
    assert "FusedBatchNormV3" in _kinds(step)
    ((images, _),) = _batches(1)
    np.testing.assert_allclose(
        step(tf.constant(images)), model(images, training=False), rtol=1e-5
    )


def test_blocks_of_models_that_share_layers_may_be_nested():
    model = _net()
    norm = model.get_layer("norm")
    part = keras.Model(model.inputs, norm.output)
    with batch_norm.in_one_kernel(model):
        call = vars(norm)["call"]
        with batch_norm.in_one_kernel(part):
            assert vars(norm)["call"] is call
        assert vars(norm)["call"] is call
    assert "call" not in vars(norm)


def test_a_block_that_fails_leaves_the_layers_as_they_were():
    model = _net()
    with pytest.raises(KeyError), batch_norm.in_one_kernel(model):
        raise KeyError
    assert "call" not in vars(model.get_layer("norm"))


def test_other_kinds_are_left_alone():
    inputs = keras.Input([6, 6, 3])
    flat = keras.layers.GlobalAveragePooling2D()(inputs)
    flat = keras.layers.BatchNormalization(name="flat")(flat)
    maps = keras.layers.BatchNormalization(axis=1, name="rows")(inputs)
    both = keras.layers.BatchNormalization(synchronized=True, name="both")(maps)
    model = keras.Model(inputs, [flat, both])
    with batch_norm.in_one_kernel(model):
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
    with batch_norm.in_one_kernel(model):
        assert all("call" in vars(layer) for layer in norms)
