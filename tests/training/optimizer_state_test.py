"""Tests of tf_finetune/training/optimizer_state.py."""

import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from tf_finetune.config import training_options
from tf_finetune.training import optimizer_state, optimizers


def _layers() -> tuple[keras.layers.Layer, ...]:
    """A layer that trains first, and one that joins it; shapes differ."""
    old, new = keras.layers.Dense(2), keras.layers.Dense(3)
    old.build([None, 4])
    new.build([None, 2])
    return old, new


def _model(layers, optimizer) -> keras.Model:
    inputs = outputs = keras.Input([layers[0].kernel.shape[0]])
    for layer in layers:
        outputs = layer(outputs)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer=optimizer, loss="mse")
    return model


def _build(name, *, continues=False, **changes) -> keras.optimizers.Optimizer:
    options = training_options.TrainingOptions(
        optimizer=name,
        learning_rate=0.1,
        schedule="constant",
        warmup_fraction=0,
        **changes,
    )
    plan = optimizers.make_schedule(options, steps_per_epoch=1)
    return optimizers.build_optimizer(options, plan, continues=continues)


def _step(model: keras.Model, seed: int) -> list[np.ndarray]:
    """Applies random gradients, drawn for each variable; returns them."""
    generator = np.random.default_rng(seed)
    gradients = [
        generator.normal(size=v.shape).astype("float32")
        for v in model.trainable_variables
    ]
    model.optimizer.apply(
        [keras.ops.convert_to_tensor(each) for each in gradients],
        model.trainable_variables,
    )
    return gradients


def _two_stages(name, **changes):
    """Returns models of both stages: the first has trained for two steps."""
    old, new = _layers()
    first = _model([old], _build(name, **changes))
    first.optimizer.build(first.trainable_variables)
    for seed in (1, 2):
        _step(first, seed)
    second = _model([old, new], _build(name, continues=True, **changes))
    return first, second


@pytest.mark.parametrize("name", sorted(optimizers._LEARNING_RATES))
def test_every_optimizer_hands_over_all_that_it_keeps(name):
    first, second = _two_stages(name)
    carried = optimizer_state.capture_state(first)
    assert optimizer_state.carry_over(second, carried) == 2
    slots = sum(len(each.slots) for each in carried.variables)
    # Besides those it has its iterations and its learning rate.
    total = len(first.optimizer.variables)
    assert slots + len(carried.shared) + 2 == total
    again = optimizer_state.capture_state(second)
    for before, after in zip(carried.variables, again.variables, strict=False):
        assert after.variable is before.variable
        assert after.steps == before.steps == 2
        assert after.slots.keys() == before.slots.keys()
        for kind, value in before.slots.items():
            np.testing.assert_array_equal(after.slots[kind], value)
    fresh = _model(second.layers[2:], _build(name))
    fresh.optimizer.build(fresh.trainable_variables)
    new = optimizer_state.capture_state(fresh)
    for one, other in zip(again.variables[2:], new.variables, strict=True):
        assert one.steps == 0
        for kind, value in other.slots.items():
            np.testing.assert_array_equal(one.slots[kind], value)


def test_adam_corrects_each_variable_by_its_own_steps():
    first, second = _two_stages("adam")
    optimizer_state.carry_over(second, optimizer_state.capture_state(first))
    assert int(second.optimizer._iterations) == 0
    before = [np.array(v) for v in second.trainable_variables]
    gradients = _step(second, 3)
    # The kernel of the old layer has seen the draws of both earlier steps.
    shape = before[0].shape
    seen = [
        np.random.default_rng(seed).normal(size=shape).astype("float32")
        for seed in (1, 2)
    ]
    for index, history in ((0, [*seen, gradients[0]]), (2, [gradients[2]])):
        m = v = 0.0
        for g in history:
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
        t = len(history)
        change = 0.1 * (m / (1 - 0.9**t)) / np.sqrt(v / (1 - 0.999**t))
        np.testing.assert_allclose(
            np.array(second.trainable_variables[index]),
            before[index] - change,
            # 1 - 0.999^t in float32 has three digits less.
            atol=1e-5,
        )


def test_steps_add_up_over_three_stages():
    first, second = _two_stages("adam")
    optimizer_state.carry_over(second, optimizer_state.capture_state(first))
    _step(second, 3)
    carried = optimizer_state.capture_state(second)
    assert [each.steps for each in carried.variables] == [3, 3, 1, 1]
    # What stopped moving is forgotten; what begins, begins anew.
    third = _model(second.layers[2:], _build("adam", continues=True))
    assert optimizer_state.carry_over(third, carried) == 2
    found = optimizer_state.capture_state(third).variables
    assert [each.steps for each in found] == [1, 1]


def test_averages_go_on_from_the_weights_that_were_kept():
    first, second = _two_stages("sgd", ema_momentum=0.5)
    optimizer_state.carry_over(second, optimizer_state.capture_state(first))
    start = [np.array(v) for v in second.trainable_variables]
    averages = second.optimizer._model_variables_moving_average
    for average, weight in zip(averages, start, strict=True):
        np.testing.assert_array_equal(np.array(average), weight)
    gradients = _step(second, 3)
    for average, weight, gradient in zip(
        averages, start, gradients, strict=True
    ):
        # Half of the start, half of the weight after a step of rate 0.1.
        expected = 0.5 * weight + 0.5 * (weight - 0.1 * gradient)
        np.testing.assert_allclose(np.array(average), expected, rtol=1e-5)


def test_the_scale_of_the_loss_goes_on():
    old, new = _layers()
    scaled = [
        keras.optimizers.LossScaleOptimizer(each)
        for each in (_build("adam"), _build("adam", continues=True))
    ]
    first, second = _model([old], scaled[0]), _model([old, new], scaled[1])
    first.optimizer.build(first.trainable_variables)
    first.optimizer.dynamic_scale.assign(64.0)
    first.optimizer.inner_optimizer._iterations.assign(5)
    optimizer_state.carry_over(second, optimizer_state.capture_state(first))
    assert float(second.optimizer.dynamic_scale) == 64
    assert int(second.optimizer.inner_optimizer._iterations) == 0
    assert second.optimizer.inner_optimizer.earlier_steps == (5, 5, 0, 0)


@pytest.mark.slow
def test_replicas_and_accumulation_hand_over_the_same_state():
    script = pathlib.Path(__file__).with_name("replica_stages.py")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    plain, *others = json.loads(done.stdout.splitlines()[-1])
    for other in others:
        for expected, found in zip(plain, other, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-6)
