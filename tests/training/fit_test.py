"""Tests of tf_finetune/training/{fit,fit_stage}.py."""

import dataclasses
import gc
import io
import itertools
import logging
import os
import signal
import sys
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune import errors, shutdown
from tf_finetune.data import progress
from tf_finetune.training import fit
from tf_finetune.training import fit_stage as stages

_EPOCHS = 4
_STEPS = 3


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


def _batches(first_epoch: int, first_step: int) -> tf.data.Dataset:
    """Another order in every epoch, as a function of the epoch alone."""
    x = np.random.default_rng(0).normal(size=[15, 3]).astype("float32")
    epochs = []
    for epoch in range(first_epoch, _EPOCHS):
        order = np.random.default_rng(epoch).permutation(15)
        rows = x[order]
        epochs.append((rows, rows.sum(axis=1, keepdims=True)))
    x = np.concatenate([each for each, _ in epochs])
    y = np.concatenate([each for _, each in epochs])
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(5)
    return batches.skip(first_step)


def _stage(**changes) -> stages.FitStage:
    settings = {
        "name": "test",
        "epochs": _EPOCHS,
        "steps_per_epoch": _STEPS,
        "batches": _batches,
    }
    return stages.FitStage(**{**settings, **changes})


def _loss(row) -> tuple[float, ...]:
    return (-row["loss"],)


class _Killed(Exception):
    pass


class _Kill(keras.callbacks.Callback):
    def __init__(self, step: int):
        super().__init__()
        self._step = step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations >= self._step:
            raise _Killed


def _assert_equal(model: keras.Model, other: keras.Model) -> None:
    for ours, theirs in zip(
        model.get_weights(), other.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> tuple[keras.Model, fit.Outcome]:
    model, folder = _model(), tmp_path_factory.mktemp("whole")
    return model, fit.fit(model, _stage(folder=folder, rank=_loss))


@pytest.mark.parametrize(
    ("steps", "every"),
    [([2], None), ([5], None), ([1, 2, 3, 5, 6], 1), ([4, 11], 2), ([7], 3)],
)
def test_an_interrupted_stage_ends_bit_equal_to_the_uninterrupted(
    tmp_path, uninterrupted, steps, every
):
    whole, expected = uninterrupted
    stage = _stage(folder=tmp_path, rank=_loss, checkpoint_every_steps=every)
    for step in steps:
        with pytest.raises(_Killed):
            fit.fit(_model(), stage, callbacks=[_Kill(step)])
    resumed = _model()
    # Figures too: the sums of a half epoch are part of the checkpoint.
    assert fit.fit(resumed, stage) == expected
    _assert_equal(resumed, whole)


@pytest.mark.parametrize("plain", ["sgd", "adam"])
def test_a_trainer_that_was_timed_leaves_the_checkpoints_of_any_other(
    plain, tmp_path
):
    """Also with loss scaling, whose optimizer builds as often as it is told."""

    def model() -> keras.Model:
        made = _model()
        made.compile(
            optimizer=keras.optimizers.LossScaleOptimizer(
                keras.optimizers.get(plain)
            ),
            loss="mse",
        )
        return made

    stage = _stage(folder=tmp_path, rank=_loss, checkpoint_every_steps=1)
    timed, other = model(), model()
    fit.time_step(timed, _batches(0, 0).take(3))
    with pytest.raises(_Killed):
        fit.fit(timed, stage, callbacks=[_Kill(5)])
    with pytest.raises(_Killed):
        fit.fit(other, stage, callbacks=[_Kill(5)])
    assert int(other.optimizer.iterations) == 6


def test_steps_before_the_checkpoint_are_not_done_again(tmp_path):
    stage = _stage(folder=tmp_path, rank=_loss, checkpoint_every_steps=1)
    with pytest.raises(_Killed):
        fit.fit(_model(), stage, callbacks=[_Kill(8)])
    starts, steps = [], []

    def batches(epoch, step):
        starts.append((epoch, step))
        return _batches(epoch, step)

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            steps.append(int(self.model.optimizer.iterations))

    fit.fit(
        _model(),
        dataclasses.replace(stage, batches=batches),
        callbacks=[Count()],
    )
    assert starts == [(2, 2), (3, 0)]
    assert steps == [9, 10, 11, 12]


@pytest.mark.parametrize(("step", "checkpoint"), [(4, 4), (6, 6), (8, 8)])
def test_asked_to_stop_it_writes_a_checkpoint_and_goes_on_from_it(
    tmp_path, uninterrupted, step, checkpoint
):
    class Ask(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if self.model.optimizer.iterations == step - 1:
                os.kill(os.getpid(), signal.SIGTERM)

    stage = _stage(folder=tmp_path, rank=_loss)
    with pytest.raises(shutdown.SignalExit) as stopped:
        fit.fit(_model(), stage, callbacks=[Ask()])
    assert stopped.value.code == 143
    newest = max(tmp_path.glob("*.checkpoint")).name
    epoch, rest = divmod(checkpoint, _STEPS)
    assert newest == f"epoch-{epoch:05d}-step-{rest:08d}.checkpoint"
    resumed = _model()
    assert fit.fit(resumed, stage) == uninterrupted[1]
    _assert_equal(resumed, uninterrupted[0])


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
    assert outcome.best == np.argmin(losses) == 2
    for ours, theirs in zip(model.get_weights(), seen[2], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("on_disk", [True, False])
def test_the_last_epoch_is_kept_if_asked_for(tmp_path, on_disk):
    folder = tmp_path if on_disk else None
    stage = _stage(rank=_loss, keeps_last=True, patience=1, folder=folder)
    model, best = _model(), _model()
    outcome = fit.fit(model, stage)
    assert len(outcome.rows) == stage.epochs
    assert outcome.best == stage.epochs - 1
    # The best epoch is another one, and has other weights.
    assert fit.fit(best, _stage(rank=_loss)).best == 2
    unranked = _model()
    fit.fit(unranked, _stage())
    _assert_equal(model, unranked)
    kernels = [each.get_weights()[0] for each in (model, best)]
    assert not np.array_equal(*kernels)


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


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("scaled", [False, True])
def test_nothing_of_a_training_outlives_its_model(scaled):
    graphs = []

    def loss(truth, predicted):
        graphs.append(weakref.ref(truth.graph))
        return keras.ops.mean((truth - predicted) ** 2)

    model = _model()
    optimizer = keras.optimizers.Adam()
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(optimizer, loss)
    fit.fit(model, _stage(epochs=1))
    del model, optimizer
    gc.collect()
    assert graphs and not any(graph() for graph in graphs)


def test_an_epoch_is_told_once_on_a_line_of_its_own(monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="absl")
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    fit.fit(_model(), _stage(rank=_loss))
    lines = [r.getMessage() for r in caplog.records]
    assert [line.split("  ")[0] for line in lines] == [
        f"test epoch {number}/4" for number in (1, 2, 3, 4)
    ]
    assert "loss" not in terminal.getvalue()


def test_a_log_gets_a_line_every_30_seconds_of_an_epoch(monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="absl")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    clock = itertools.count(0, 30)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    fit.fit(_model(), _stage(rank=_loss))
    assert "test, epoch 2 of 4: 1 of 3 steps (33%), about" in caplog.text
