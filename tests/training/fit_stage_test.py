"""Tests of tf_finetune/training/fit_stage.py: moving averages of weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.training import fit
from tf_finetune.training import fit_stage as stages

_MOMENTUM, _EPOCHS, _STEPS = 0.6, 3, 4


class _Watch(keras.callbacks.Callback):
    """Notes the weight after every step."""

    def __init__(self, stop_after: int | None = None):
        super().__init__()
        self.seen, self._stop_after = [], stop_after

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(float(self.model.get_weights()[0][0, 0]))
        if len(self.seen) == self._stop_after:
            raise KeyboardInterrupt


def _model() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input([1]),
            keras.layers.Dense(
                1, use_bias=False, kernel_initializer="zeros"
            ),
        ]
    )  # fmt: skip
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=_MOMENTUM)
    model.compile(optimizer=optimizer, loss="mse")
    return model


def _fitted(folder, watch: _Watch) -> tuple[keras.Model, fit.Outcome]:
    data = tf.data.Dataset.from_tensor_slices(
        (np.ones([_STEPS, 1], "float32"), np.full([_STEPS, 1], 2.0, "float32"))
    ).batch(1)
    model = _model()
    stage = stages.FitStage(
        name="test",
        epochs=_EPOCHS,
        steps_per_epoch=_STEPS,
        batches=lambda epoch, step: data.repeat(_EPOCHS - epoch).skip(step),
        validation=data,
        rank=lambda row: (-row["val_loss"],),
        folder=folder,
        averages=stages.EmaCallback(),
        checkpoint_every_steps=3,
    )
    outcome = fit.fit(model, stage, callbacks=[watch])
    return model, outcome


def _expected(seen: list[float]) -> list[float]:
    """Returns the moving average after every step, by its definition."""
    averages = [seen[0]]
    for value in seen[1:]:
        averages.append(_MOMENTUM * averages[-1] + (1 - _MOMENTUM) * value)
    return averages


def test_averages_are_judged_and_kept(tmp_path):
    watch = _Watch()
    model, outcome = _fitted(tmp_path, watch)
    # Each step goes a fifth of the way to 2; weights are put back in between.
    steps = np.arange(1, _EPOCHS * _STEPS + 1)
    assert watch.seen == pytest.approx(2 - 2 * 0.8**steps, rel=1e-5)
    averages = _expected(watch.seen)
    for epoch, row in enumerate(outcome.rows):
        at_end = averages[(epoch + 1) * _STEPS - 1]
        assert row["val_loss"] == pytest.approx((2 - at_end) ** 2, rel=1e-4)
    kept = model.get_weights()[0][0, 0]
    assert kept == pytest.approx(averages[-1], rel=1e-5)


@pytest.mark.parametrize("stop_after", [_STEPS + 1, 2 * _STEPS - 1])
def test_an_interrupted_stage_goes_on_from_the_weights(stop_after, tmp_path):
    """It goes on between two epochs, or within one."""
    whole, _ = _fitted(tmp_path / "whole", _Watch())
    with pytest.raises(KeyboardInterrupt):
        _fitted(tmp_path / "parts", _Watch(stop_after))
    resumed, outcome = _fitted(tmp_path / "parts", _Watch())
    assert len(outcome.rows) == _EPOCHS
    np.testing.assert_array_equal(resumed.get_weights(), whole.get_weights())
