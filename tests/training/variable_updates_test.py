"""Learning rates and decay of single variables, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.adaptation import method
from tf_finetune.config import training_options
from tf_finetune.training import fit, optimizers
from tf_finetune.training import fit_stage as stages

_RATE, _FACTOR = 0.1, 0.25
_STARTS = {"backbone": np.array([1.0, -2.0]), "head": np.array([3.0, 0.5])}
_GRADIENTS = [np.array([0.3, -0.1]), np.array([-0.2, 0.4])]


def _adapted(variable, factor: float = _FACTOR) -> method.Adapted:
    return method.Adapted(
        trained={"layer": [variable]},
        learning_rate_factors={"layer": factor} if factor != 1 else {},
        description="",
        build_trainer=lambda network: network,
        merge=lambda: None,
    )


def _train(factor: float = _FACTOR, **changes) -> dict[str, np.ndarray]:
    """Trains a backbone and a head for two steps of the same gradients."""
    variables = {
        name: keras.Variable(value.astype("float32"), name=name)
        for name, value in _STARTS.items()
    }
    options = training_options.TrainingOptions(
        learning_rate=_RATE,
        schedule="constant",
        warmup_fraction=0.0,
        **changes,
    )
    plan = optimizers.make_schedule(options, steps_per_epoch=1)
    optimizer = optimizers.build_optimizer(
        options, plan, adapted=_adapted(variables["backbone"], factor)
    )
    for gradient in _GRADIENTS:
        both = [tf.constant(gradient, "float32")] * 2
        optimizer.apply(both, [*variables.values()])
    return {name: np.array(each) for name, each in variables.items()}


def _adamw(start, rate, decay, towards) -> np.ndarray:
    """Loshchilov & Hutter 2019, algorithm 2, in NumPy."""
    weight, mean, square = start.copy(), 0.0, 0.0
    for step, gradient in enumerate(_GRADIENTS, start=1):
        weight = weight - rate * decay * (weight - towards)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        # Keras adds epsilon to the root before the correction of its bias.
        size = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weight = weight - size * mean / (np.sqrt(square) + 1e-7)
    return weight


def test_adamw_moves_and_decays_a_layer_by_its_share_of_the_rate():
    found = _train(optimizer="adamw", weight_decay=0.5)
    for name, factor in (("backbone", _FACTOR), ("head", 1.0)):
        expected = _adamw(_STARTS[name], factor * _RATE, 0.5, towards=0.0)
        np.testing.assert_allclose(found[name], expected, rtol=1e-5)


def test_l2_sp_decays_the_backbone_to_its_start_and_the_head_to_zero():
    found = _train(optimizer="adamw", weight_decay=0.5, l2_sp=0.8)
    start = _STARTS["backbone"]
    expected = _adamw(start, _FACTOR * _RATE, 0.8, towards=start)
    np.testing.assert_allclose(found["backbone"], expected, rtol=1e-5)
    expected = _adamw(_STARTS["head"], _RATE, 0.5, towards=0.0)
    np.testing.assert_allclose(found["head"], expected, rtol=1e-5)


def test_under_sgd_l2_sp_is_the_gradient_of_half_the_squared_distance():
    found = _train(factor=1, optimizer="sgd", l2_sp=0.8)
    weight = _STARTS["backbone"].copy()
    for gradient in _GRADIENTS:
        penalty = 0.8 * (weight - _STARTS["backbone"])
        weight = weight - _RATE * (gradient + penalty)
    np.testing.assert_allclose(found["backbone"], weight, rtol=1e-6)
    # SGD decays nothing by default.
    plain = _STARTS["head"] - _RATE * np.sum(_GRADIENTS, axis=0)
    np.testing.assert_allclose(found["head"], plain, rtol=1e-6)


@pytest.mark.parametrize("name", ["momentum", "adam", "nadam", "lion", "muon"])
def test_a_layer_moves_as_with_a_learning_rate_of_its_own(name):
    changes = {"optimizer": name, "weight_decay": 0.2}
    both = _train(**changes)
    options = training_options.TrainingOptions(
        learning_rate=_FACTOR * _RATE,
        schedule="constant",
        warmup_fraction=0.0,
        **changes,
    )
    plan = optimizers.make_schedule(options, steps_per_epoch=1)
    plain = optimizers.build_optimizer(options, plan)
    alone = keras.Variable(_STARTS["backbone"].astype("float32"))
    for gradient in _GRADIENTS:
        plain.apply([tf.constant(gradient, "float32")], [alone])
    np.testing.assert_allclose(both["backbone"], np.array(alone), rtol=1e-5)


@pytest.mark.parametrize("adapts", [True, False])
def test_one_rate_for_all_is_the_optimizer_of_keras_itself(adapts):
    options = training_options.TrainingOptions()
    adapted = _adapted(keras.Variable([1.0]), factor=1) if adapts else None
    plan = optimizers.make_schedule(options, steps_per_epoch=1)
    built = optimizers.build_optimizer(options, plan, adapted=adapted)
    assert type(built) is keras.optimizers.AdamW


def _fit(folder, epochs: int) -> keras.Model:
    """Fits a net with a slow first layer; goes on where it stopped."""
    keras.utils.set_random_seed(0)
    first = keras.layers.Dense(4, "relu")
    inputs = keras.Input([3])
    model = keras.Model(inputs, keras.layers.Dense(1)(first(inputs)))
    options = training_options.TrainingOptions(
        epochs=3, learning_rate=0.05, l2_sp=0.1, ema_momentum=0.9
    )
    adapted = method.Adapted(
        trained={"layer": first.trainable_variables},
        learning_rate_factors={"layer": _FACTOR},
        description="",
        build_trainer=lambda network: network,
        merge=lambda: None,
    )
    plan = optimizers.make_schedule(options, steps_per_epoch=2)
    optimizer = optimizers.build_optimizer(options, plan, adapted=adapted)
    model.compile(optimizer, loss="mse", jit_compile=False)
    if folder.exists():
        # Pretrained weights that changed meanwhile: the start is the first one.
        first.kernel.assign(first.kernel + 1)
    folder.mkdir(exist_ok=True)
    rows = np.random.default_rng(0).normal(size=[8, 3]).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices((rows, rows[:, :1])).batch(4)
    stage = stages.FitStage(
        name="fine_tune",
        epochs=epochs,
        steps_per_epoch=2,
        batches=lambda epoch, step: batches.repeat(3 - epoch),
        folder=folder,
    )
    fit.fit(model, stage)
    return model


def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(tmp_path):
    whole = _fit(tmp_path / "whole", epochs=3)
    _fit(tmp_path / "parts", epochs=1)
    resumed = _fit(tmp_path / "parts", epochs=3)
    for a, b in zip(
        [*whole.variables, *whole.optimizer.variables],
        [*resumed.variables, *resumed.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(np.array(a), np.array(b))
