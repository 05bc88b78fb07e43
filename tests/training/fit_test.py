"""Tests of tf_finetune/training/fit.py and checkpoints.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.training import checkpoints, fit

_EPOCHS = 4


def _model(learning_rate: float = 0.1) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input([3]),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(learning_rate), loss="mse")
    return model


def _batches(first_epoch: int) -> tf.data.Dataset:
    """Another order in every epoch, as a function of the epoch alone."""
    x = np.random.default_rng(0).normal(size=[10, 3]).astype("float32")
    epochs = []
    for epoch in range(first_epoch, _EPOCHS):
        order = np.random.default_rng(epoch).permutation(10)
        rows = x[order]
        epochs.append((rows, rows.sum(axis=1, keepdims=True)))
    x = np.concatenate([each for each, _ in epochs])
    y = np.concatenate([each for _, each in epochs])
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(5)


def _stage(**changes) -> fit.Stage:
    settings = {
        "name": "test",
        "epochs": _EPOCHS,
        "steps_per_epoch": 2,
        "batches": _batches,
    }
    return fit.Stage(**{**settings, **changes})


def _loss(row) -> tuple[float, ...]:
    return (-row["loss"],)


class _Killed(Exception):
    pass


class _Kill(keras.callbacks.Callback):
    def __init__(self, epoch: int):
        super().__init__()
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1 and self.model.optimizer.iterations >= self._epoch * 2:
            raise _Killed


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_an_interrupted_stage_ends_bit_equal_to_the_uninterrupted(
    tmp_path, epoch
):
    whole = _model()
    expected = fit.fit(whole, _stage(folder=tmp_path / "a", rank=_loss))
    with pytest.raises(_Killed):
        fit.fit(
            _model(),
            _stage(folder=tmp_path / "b", rank=_loss),
            callbacks=[_Kill(epoch)],
        )
    resumed = _model()
    found = fit.fit(resumed, _stage(folder=tmp_path / "b", rank=_loss))
    assert found == expected
    for ours, theirs in zip(
        resumed.get_weights(), whole.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("on_disk", [True, False])
def test_the_best_epochs_weights_are_kept(tmp_path, on_disk):
    model, seen = _model(), []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.get_weights())

    outcome = fit.fit(
        model,
        _stage(rank=_loss, folder=tmp_path if on_disk else None),
        callbacks=[Watch()],
    )
    losses = [row["loss"] for row in outcome.rows]
    # Neither the first nor the last, so that keeping either would show.
    assert outcome.best == np.argmin(losses) == 1
    for ours, theirs in zip(model.get_weights(), seen[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_patience_ends_a_stage_that_no_longer_improves():
    outcome = fit.fit(_model(), _stage(rank=lambda row: (0.0,), patience=2))
    assert len(outcome.rows) == 3
    assert outcome.best == 0


def test_an_exhausted_stage_is_not_trained_any_further(tmp_path):
    stage = _stage(rank=lambda row: (0.0,), patience=2, folder=tmp_path)
    first = fit.fit(_model(), stage)
    again = fit.fit(
        _model(), stage, callbacks=[_Kill(0)]
    )  # Would be killed in its first epoch.
    assert again == first


def test_a_loss_that_is_no_number_stops_with_a_hint():
    with pytest.raises(errors.RunError, match="--learning_rate"):
        fit.fit(_model(learning_rate=1e30), _stage())


def test_a_torn_checkpoint_is_noticed_and_not_used(tmp_path):
    variables = [keras.Variable(np.arange(1000.0))]
    path = tmp_path / "last.npz"
    checkpoints.save(path, variables, checkpoints.Progress())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert checkpoints.restore(path, variables) is None
    assert checkpoints.restore(tmp_path / "none.npz", variables) is None


def test_a_checkpoint_of_another_optimizer_is_noticed_and_not_used(tmp_path):
    path = tmp_path / "last.npz"
    variables = [keras.Variable(np.ones(2)), keras.Variable(np.ones(3))]
    checkpoints.save(path, variables, checkpoints.Progress())
    assert checkpoints.restore(path, variables) is not None
    assert checkpoints.restore(path, variables[:1]) is None
