"""Batch-norm statistics of other pictures."""

import keras
import numpy as np

from tf_finetune.semi_supervised import batch_norm_adaptation


def _model() -> keras.Model:
    image = keras.Input([4, 4, 3])
    first = keras.layers.BatchNormalization(name="first")(image)
    dropped = keras.layers.Dropout(0.9)(first)
    second = keras.layers.BatchNormalization(name="second")(dropped)
    return keras.Model(image, second)


def test_statistics_are_those_of_all_pixels_of_all_batches():
    pictures = np.random.default_rng(0).normal(3, 2, [10, 4, 4, 3])
    pictures = pictures.astype("float32")
    model = _model()
    model.trainable = False
    batches = [pictures[:4], pictures[4:8], pictures[8:]]
    assert batch_norm_adaptation.adapt_batch_norms(model, batches) == 2
    first = model.get_layer("first")
    np.testing.assert_allclose(
        first.moving_mean, pictures.mean(axis=(0, 1, 2)), rtol=1e-5
    )
    np.testing.assert_allclose(
        first.moving_variance, pictures.var(axis=(0, 1, 2)), rtol=1e-4
    )
    # Normalized by their batch, and not dropped.
    second = model.get_layer("second")
    np.testing.assert_allclose(second.moving_mean, np.zeros(3), atol=1e-5)
    np.testing.assert_allclose(second.moving_variance, np.ones(3), rtol=1e-2)
    assert not first.trainable
    assert first.momentum == 0.99
    assert "call" not in vars(first)


def test_a_model_without_batch_norm_has_nothing_to_adapt():
    image = keras.Input([4])
    model = keras.Model(image, keras.layers.Dense(2)(image))
    assert batch_norm_adaptation.adapt_batch_norms(model, []) == 0
