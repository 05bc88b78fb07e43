"""Tests of training/checkpoints/divergence.py and the way back in fit.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.training import fit
from tf_finetune.training import fit_stage as stages
from tf_finetune.training.checkpoints import divergence

_EPOCHS, _STEPS = 4, 3


def _mean(y_true, y_pred):
    """A loss whose gradient is 1 for a weight that ones are multiplied by."""
    return tf.reduce_mean(y_pred, axis=-1)


def _constant(value: float) -> keras.optimizers.schedules.CosineDecay:
    return keras.optimizers.schedules.CosineDecay(value, 1, alpha=1.0)


def _model(rate, activation=None) -> keras.Model:
    inputs = keras.Input([1])
    dense = keras.layers.Dense(
        1, use_bias=False, kernel_initializer="ones", name="dense"
    )
    last = keras.layers.Activation(activation or "linear", name="last")
    model = keras.Model(inputs, last(dense(inputs)))
    model.compile(keras.optimizers.SGD(rate), loss=_mean)
    return model


class _Feed:
    """Batches of one; the one at `bad` is another number `times` times."""

    def __init__(self, bad: tuple[int, int], value: float, times: int):
        self._bad = bad[0] * _STEPS + bad[1]
        self._value = value
        self._times = times

    def __call__(self, epoch: int, step: int) -> tf.data.Dataset:
        inputs = np.ones([_EPOCHS * _STEPS, 1], "float32")
        if self._times:
            inputs[self._bad] = self._value
            self._times -= 1
        x = inputs[epoch * _STEPS + step :]
        return tf.data.Dataset.from_tensor_slices((x, x)).batch(1)


def _stage(folder, feed, **changes) -> stages.FitStage:
    return stages.FitStage(
        name="test",
        epochs=_EPOCHS,
        steps_per_epoch=_STEPS,
        batches=feed,
        folder=folder,
        names=lambda epoch, step: [f"picture-{epoch}-{step}.png"],
        **changes,
    )


@pytest.mark.parametrize("rate", [1.0, _constant(1.0)])
@pytest.mark.parametrize(("every", "before"), [(None, 6), (1, 7)])
def test_it_goes_back_and_on_at_half_the_rate(
    tmp_path, rate, every, before, caplog
):
    model = _model(rate)
    stage = _stage(
        tmp_path, _Feed((2, 1), np.nan, 1), checkpoint_every_steps=every
    )
    outcome = fit.fit(model, stage)
    assert len(outcome.rows) == _EPOCHS
    # Each step takes the rate away from the weight.
    expected = 1.0 - before - 0.5 * (12 - before)
    assert model.get_weights()[0].item() == expected
    assert "step 2 of epoch 3" in caplog.text


@pytest.mark.parametrize("rate", [1.0, _constant(1.0)])
def test_the_lower_rate_is_kept_by_a_run_that_is_killed(tmp_path, rate):
    class Killed(Exception):
        pass

    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise Killed

    feed = _Feed((1, 0), np.nan, 1)
    with pytest.raises(Killed):
        fit.fit(_model(rate), _stage(tmp_path, feed), callbacks=[Kill()])
    model = _model(rate)
    fit.fit(model, _stage(tmp_path, feed))
    assert model.get_weights()[0].item() == 1.0 - 3 - 0.5 * 9


def test_after_so_many_times_it_stops_and_names_step_and_pictures(tmp_path):
    feed = _Feed((2, 1), np.inf, 9)
    with pytest.raises(errors.RunError) as error:
        fit.fit(_model(1.0), _stage(tmp_path, feed, max_recoveries=2))
    sentence = str(error.value)
    assert "began at step 2 of epoch 3 of stage test" in sentence
    assert "the pictures themselves" in sentence
    assert "picture-2-1.png" in sentence
    assert "--learning_rate" in sentence


def test_the_first_layer_with_such_an_output_is_named(tmp_path):
    model = _model(1e-3, activation=tf.math.log)
    feed = _Feed((1, 2), -1.0, 9)
    with pytest.raises(errors.RunError) as error:
        fit.fit(model, _stage(tmp_path, feed, max_recoveries=0))
    assert "step 3 of epoch 2" in str(error.value)
    assert "the output of layer last" in str(error.value)


def test_a_gradient_that_spoils_the_next_step_is_named(tmp_path):
    # The root of 0 is 0, but it is infinitely steep there.
    model = _model(1e-3, activation=tf.math.sqrt)
    feed = _Feed((1, 0), 0.0, 9)
    with pytest.raises(errors.RunError) as error:
        fit.fit(
            model,
            _stage(tmp_path, feed, max_recoveries=0, checkpoint_every_steps=1),
        )
    assert "began at step 1 of epoch 2" in str(error.value)
    assert "the gradient of dense/kernel" in str(error.value)


def test_weights_that_are_no_numbers_are_in_no_checkpoint(tmp_path):
    model = _model(1e-3, activation=tf.math.sqrt)
    feed = _Feed((1, 0), 0.0, 1)
    stage = _stage(tmp_path, feed, checkpoint_every_steps=1)
    fit.fit(model, stage)
    assert not divergence.has_non_finite_weight(model)


@pytest.mark.parametrize("rate", [0.5, _constant(0.5)])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_rate_is_scaled_from_what_it_was_at_first(rate, wrapped):
    optimizer = keras.optimizers.SGD(rate)
    if wrapped:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    handle = divergence.LearningRateScaler(optimizer)
    for factor in (0.5, 0.25, 1.0):
        handle.scale(factor)
        assert float(optimizer.learning_rate) == 0.5 * factor
