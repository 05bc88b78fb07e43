"""Tests of tf_finetune/training/train_step.py on one device."""

import keras
import numpy as np
import pytest

from tf_finetune.training import train_step


def _model() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input([3])
    hidden = keras.layers.Dense(4, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(hidden))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_batch_by_itself_moves_the_weights_as_in_keras(count):
    generator = np.random.default_rng(0)
    x = generator.normal(size=[7, 3]).astype("float32")
    y = generator.normal(size=[7, 2]).astype("float32")
    plain = _model()
    ours = train_step.Trainer.from_model(_model(), micro_batches=count)
    for model in (plain, ours):
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
        model.train_on_batch(x, y)
    for a, b in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
