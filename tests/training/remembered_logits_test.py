"""Tests of tf_finetune/training/remembered_logits.py."""

import keras
import numpy as np
import pytest

from tf_finetune.training import remembered_logits


@pytest.fixture
def network():
    keras.utils.set_random_seed(1)
    inputs = keras.Input([3])
    hidden = keras.layers.Dense(5, activation="relu")(inputs)
    hidden = keras.layers.Dropout(0.5)(hidden)
    return keras.Model(inputs, keras.layers.Dense(4)(hidden))


def test_the_penalty_is_the_change_of_the_chosen_logits(network):
    trainer = remembered_logits.build_trainer(network, [1, 2])
    rows = np.random.default_rng(0).normal(size=[6, 3]).astype("float32")
    before = np.asarray(network(rows))
    network.layers[-1].kernel.assign_add(np.ones([5, 4], "float32"))
    keras.utils.set_random_seed(2)
    logits = np.asarray(trainer(rows, training=True))
    expected = np.mean((logits - before)[:, 1:3] ** 2)
    np.testing.assert_allclose(float(trainer.losses[0]), expected, rtol=1e-5)
    np.testing.assert_array_equal(trainer(rows), network(rows))
    assert not trainer.losses
    assert {id(e) for e in trainer.trainable_variables} == {
        id(e) for e in network.trainable_variables
    }


def test_remembered_logits_move_less(network):
    rows = np.random.default_rng(0).normal(size=[32, 3]).astype("float32")
    first, weights = np.asarray(network(rows)), network.get_weights()
    moved = []
    for places in ([0], [1, 2, 3]):
        network.set_weights(weights)
        trainer = remembered_logits.build_trainer(network, places)
        trainer.compile(
            keras.optimizers.SGD(0.05),
            loss=lambda wanted, logits: -keras.ops.mean(logits[:, 1]),
        )
        trainer.fit(rows, first, epochs=40, verbose=0)
        moved.append(np.abs(np.asarray(network(rows)) - first)[:, 1].mean())
    assert moved[1] < moved[0] / 2
