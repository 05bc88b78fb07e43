"""Tests of tf_finetune/training/optimizers.py."""

import math

import keras
import pytest

from tf_finetune import errors
from tf_finetune.config import options as options_module
from tf_finetune.config import train_config, training_options
from tf_finetune.training import optimizers


def _options(**changes) -> training_options.TrainingOptions:
    return training_options.TrainingOptions(**changes)


def _rates(
    options: training_options.TrainingOptions, steps: int
) -> list[float]:
    plan = optimizers.make_schedule(options, steps_per_epoch=steps)
    built = optimizers.build_optimizer(options, plan)
    rate = built._learning_rate
    if not callable(rate):
        return [float(built.learning_rate)] * steps
    return [float(rate(step)) for step in range(steps + 1)]


def test_every_optimizer_of_keras_is_known_by_name():
    for name, value in vars(keras.optimizers).items():
        is_one = isinstance(value, type) and issubclass(
            value, keras.optimizers.Optimizer
        )
        if is_one and name not in ("Optimizer", "LossScaleOptimizer"):
            if name.startswith("Multi"):  # Takes other optimizers.
                continue
            optimizers.check_name(name.lower())


@pytest.mark.parametrize(
    ("name", "momentum"), [("sgd", 0.0), ("momentum", 0.9), ("gd", 0.0)]
)
def test_the_plain_ones_are_sgd(name, momentum):
    options = _options(optimizer=name)
    plan = optimizers.make_schedule(options, steps_per_epoch=1)
    built = optimizers.build_optimizer(options, plan)
    assert isinstance(built, keras.optimizers.SGD)
    assert built.momentum == momentum


def test_gd_takes_all_pictures_at_once():
    assert optimizers.choose_batch_size(_options(optimizer="gd"), 1000) == 1000
    assert optimizers.choose_batch_size(_options(batch_size=32), 1000) == 32
    assert optimizers.choose_batch_size(_options(batch_size=32), 7) == 7


def test_cosine_rises_to_the_peak_and_falls_to_zero():
    rates = _rates(
        _options(epochs=1, learning_rate=0.5, warmup_fraction=0.2), steps=10
    )
    assert rates[0] == 0.0
    assert rates[2] == pytest.approx(0.5)
    expected = [0.25 * (1 + math.cos(math.pi * step / 8)) for step in range(9)]
    assert rates[2:] == pytest.approx(expected, abs=1e-7)


def test_constant_stays_at_the_peak_after_the_warm_up():
    options = _options(
        epochs=1, learning_rate=0.5, warmup_fraction=0.2, schedule="constant"
    )
    assert _rates(options, 10) == pytest.approx([0.0, 0.25] + [0.5] * 9)
    options = _options(
        epochs=1, learning_rate=0.5, warmup_fraction=0.0, schedule="constant"
    )
    assert _rates(options, 10) == pytest.approx([0.5] * 10)


def test_an_unknown_optimizer_is_answered_with_the_nearest():
    with pytest.raises(errors.UsageError, match="Did you mean 'adamw'"):
        optimizers.check_name("adamww")


def test_the_users_learning_rate_and_weight_decay_win():
    options = _options(optimizer="adamw", learning_rate=0.3, weight_decay=0.07)
    plan = optimizers.make_schedule(options, steps_per_epoch=5)
    assert plan.peak == 0.3
    assert optimizers.build_optimizer(options, plan).weight_decay == 0.07


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"trainable": "all"}, 1.0),
        ({"trainable": "all", "clip_norm": None}, None),
        ({"trainable": "all", "clip_norm": 5}, 5.0),
        ({"trainable": "all", "clip_variable_norm": 2}, None),
        ({"trainable": "stage3", "clip_norm": 5}, 5.0),
    ],
)
def test_gradients_are_clipped_to_norm_1_where_all_layers_move(given, expected):
    config = options_module.from_keywords(train_config.TrainConfig, given)
    chosen = optimizers.resolve_options(config)
    assert chosen.clip_norm == expected
    plan = optimizers.make_schedule(chosen, steps_per_epoch=1)
    built = optimizers.build_optimizer(chosen, plan)
    assert built.global_clipnorm == expected
