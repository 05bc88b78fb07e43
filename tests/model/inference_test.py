"""Tests of tf_finetune/model/inference.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.config import model_options
from tf_finetune.model import assembly, freeze_boundary, inference
from tf_finetune.tasks import classification


@pytest.fixture(scope="module")
def built():
    config = model_options.ModelOptions(backbone="small_cnn", image_size=32)
    return assembly.build_model(config, classification.TASK, "abc", seed=0)


@pytest.fixture(scope="module")
def compiled(built):
    convolutions = [
        layer.name
        for layer in built.backbone.model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    moving = {convolutions[-1], *built.head_layers}
    return inference.CompiledNetworks(
        built, freeze_boundary.find_boundary(built.trainer, moving)
    )


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    return generator.uniform(0, 255, [5, 32, 32, 3]).astype("float32")


def _assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_features_come_alone_or_with_what_crosses_the_cut(
    built, compiled, images
):
    alone = compiled.pretrained_step(with_rows=False)(images)
    both = compiled.pretrained_step(with_rows=True)(images)
    expected = built.extractor(images, training=False)
    _assert_close(alone.features, expected)
    _assert_close(both.features, expected)
    assert alone.rows is None
    assert both.rows.shape == (5, compiled.boundary.width)


def test_prefix_and_suffix_are_the_network_in_two_parts(
    built, compiled, images
):
    rows = compiled.compute_activations(images)
    _assert_close(rows, compiled.pretrained_step(with_rows=True)(images).rows)
    crossing = compiled.boundary.tensors(rows)
    parts = crossing if isinstance(crossing, tuple) else (crossing,)
    _assert_close(
        compiled.suffix(*parts), built.trainer(images, training=False)
    )


def test_weights_that_moved_are_seen_by_what_is_compiled(
    built, compiled, images
):
    before = np.asarray(compiled.predictions(tf.constant(images)))
    kernel = built.head.weights[0]
    old = kernel.numpy()
    kernel.assign(old + np.random.default_rng(1).normal(size=old.shape))
    after = np.asarray(compiled.predictions(tf.constant(images)))
    _assert_close(after, built.model(images, training=False))
    assert np.abs(after - before).max() > 1e-3
    kernel.assign(old)


def test_each_is_traced_once(compiled, images):
    assert compiled.pretrained_step(with_rows=True) is compiled.pretrained_step(
        with_rows=True
    )
    assert compiled.suffix is compiled.suffix
    assert compiled.predictions is compiled.predictions
