import keras
import numpy as np
import tensorflow as tf

from tf_finetune.runs import cache_check


class _OtherWhenCompiled(keras.layers.Layer):
    """Computes otherwise when it is compiled, by a factor."""

    def call(self, x):
        return x if tf.executing_eagerly() else x * 1.01


def _trainer(*layers):
    images = keras.Input([4, 4, 3])
    x = keras.layers.Flatten()(images)
    for layer in layers:
        x = layer(x)
    return keras.Model(images, x)


def _explained(trainer):
    images = tf.ones([2, 4, 4, 3])
    whole = np.asarray(trainer(images, training=False))
    return cache_check.explain_difference(
        trainer, images, whole, 7e-3, cache_dir="the/cache"
    )


def test_a_network_that_disagrees_with_itself_is_not_blamed_on_the_cache():
    words = _explained(_trainer(_OtherWhenCompiled()))
    assert "does not agree with itself" in words
    assert "9.9e-03" in words  # 0.01 / 1.01.
    assert "check --weights" in words
    assert "--clear" not in words


def test_a_network_that_agrees_with_itself_leaves_the_cache():
    words = _explained(_trainer(keras.layers.Dense(3)))
    assert "cached features are not those of this model" in words
    assert "7.0e-03" in words
    assert "--cache_dir=the/cache --clear=all" in words


def test_difference_is_relative_to_the_largest():
    found = cache_check.measure_difference(
        np.float32([[1, 8]]), np.float32([[2, 10]])
    )
    np.testing.assert_allclose(found, 0.2)
