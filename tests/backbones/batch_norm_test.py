"""Tests of tf_finetune/backbones/batch_norm.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.backbones import batch_norm, build


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
    batch_norm.fuse(fused)
    for model in (plain, fused):
        model.get_layer("norm").trainable = trainable
        model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
        for images, targets in _batches(4):
            model.train_on_batch(images, targets)
    for one, other in zip(
        plain.get_weights(), fused.get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


def test_the_kernel_is_used():
    model = _net()
    batch_norm.fuse(model)
    images = tf.zeros([2, 6, 6, 3])
    for training in (True, False):
        graph = tf.function(
            lambda x, training=training: model(x, training=training)
        ).get_concrete_function(images)
        kinds = {each.type for each in graph.graph.get_operations()}
        assert "FusedBatchNormV3" in kinds


def test_inference_is_that_of_keras():
    plain, fused = _net(), _net()
    batch_norm.fuse(fused)
    ((images, _),) = _batches(1)
    np.testing.assert_allclose(
        plain(images, training=False), fused(images, training=False), rtol=1e-5
    )


def test_saved_files_know_nothing_of_it(tmp_path):
    model = _net()
    batch_norm.fuse(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert "call" not in vars(loaded.get_layer("norm"))


def test_other_kinds_are_left_alone():
    inputs = keras.Input([6, 6, 3])
    flat = keras.layers.GlobalAveragePooling2D()(inputs)
    flat = keras.layers.BatchNormalization(name="flat")(flat)
    maps = keras.layers.BatchNormalization(axis=1, name="rows")(inputs)
    both = keras.layers.BatchNormalization(synchronized=True, name="both")(maps)
    model = keras.Model(inputs, [flat, both])
    batch_norm.fuse(model)
    for name in ("flat", "rows", "both"):
        assert "call" not in vars(model.get_layer(name))


def test_every_backbone_has_it():
    model = build.build("resnet18", image_size=32).model
    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert norms
    assert all("call" in vars(layer) for layer in norms)
