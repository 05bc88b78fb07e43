"""The first stage: the head, on features computed once.

A linear head of a small problem is solved to its optimum (`probe`); a larger
problem, or a head with a hidden layer, is trained on the cached features by
the one `fit`. Either way its strength is chosen on training data alone.
"""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import inference
from tf_finetune.config import train
from tf_finetune.training import fit, objectives, probe

# Decoupled weight decays tried for a head that is trained by steps, and the
# length of each trial: on cached features a step costs about a millisecond.
_WEIGHT_DECAYS = (1e-4, 1e-2, 1.0)
_EPOCHS = 30
_LEAST_STEPS = 600
_LEARNING_RATE = 3e-3
_HELD_OUT = 5  # One training example in five judges the strength.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Solution:
    """A head's weights and how they came about.

    Attributes:
        weights: In the order of the head model's `weights`, for raw features.
        how: One sentence for the log.
    """

    weights: tuple[np.ndarray, ...]
    how: str


def solve(
    model: keras.Model,
    features: np.ndarray,
    targets: np.ndarray,
    *,
    config: train.TrainConfig,
    groups: Sequence[str],
) -> Solution:
    """Finds the head's weights; leaves the model as it was.

    Args:
        model: Features [batch, width] → logits [batch, classes].
        features: [n, width] of the training split.
        targets: [n, classes] one-hot.
        config: `head`, `class_weight` and `seed` are read.
        groups: For each example; those of one group are judged together.
    """
    before = model.get_weights()
    try:
        if config.model.head == "linear" and probe.is_small(
            *features.shape, targets.shape[1]
        ):
            return _exact(features, targets, config=config, groups=groups)
        return _by_steps(model, features, targets, config=config, groups=groups)
    finally:
        model.set_weights(before)


def _exact(
    features: np.ndarray,
    targets: np.ndarray,
    *,
    config: train.TrainConfig,
    groups: Sequence[str],
) -> Solution:
    solved = probe.solve(
        features,
        targets.argmax(axis=1),
        num_classes=targets.shape[1],
        groups=groups,
        class_weight=config.training.class_weight,
        seed=config.seed,
    )
    how = f"logistic regression at its optimum, strength C={solved.strength:g}"
    if solved.note:
        how += f" ({solved.note})"
    return Solution(weights=(solved.kernel, solved.bias), how=how)


def _by_steps(
    model: keras.Model,
    features: np.ndarray,
    targets: np.ndarray,
    *,
    config: train.TrainConfig,
    groups: Sequence[str],
) -> Solution:
    mean = features.mean(axis=0)
    scale = features.std(axis=0)
    scale = np.where(scale > 1e-6, scale, 1.0).astype("float32")
    standard = (features - mean) / scale
    held_out = _held_out(groups, config.seed)
    losses = {}
    for decay in _WEIGHT_DECAYS:
        _train(model, standard[~held_out], targets[~held_out], decay, config)
        losses[decay] = _log_loss(model, standard[held_out], targets[held_out])
    decay = min(losses, key=losses.get)
    _train(model, standard, targets, decay, config)
    kernel, bias, *rest = model.get_weights()
    kernel = kernel / scale[:, np.newaxis]
    bias = bias - mean @ kernel
    how = (
        f"{_steps(len(features), config)} steps on cached features, weight "
        f"decay {decay:g}"
    )
    return Solution(weights=(kernel, bias, *rest), how=how)


def _train(
    model: keras.Model,
    features: np.ndarray,
    targets: np.ndarray,
    weight_decay: float,
    config: train.TrainConfig,
) -> None:
    """Trains from fresh weights; the same ones for every strength."""
    _initialize(model, config.seed)
    weights = objectives.class_weights(targets, config.training.class_weight)
    steps = _steps(len(features), config)
    schedule = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps)
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=weight_decay),
        loss=objectives.ClassificationLoss(
            "cross_entropy", class_weights=weights
        ),
    )
    fit.fit(
        model,
        fit.Stage(
            name="head",
            # As one epoch: those of a small problem would be a step each.
            epochs=1,
            steps_per_epoch=steps,
            batches=lambda epoch: _batches(features, targets, config),
        ),
    )


def _batches(
    features: np.ndarray, targets: np.ndarray, config: train.TrainConfig
) -> tf.data.Dataset:
    rows = tf.data.Dataset.from_tensor_slices((features, targets))
    shuffled = rows.shuffle(len(features), seed=config.seed)
    batches = shuffled.batch(_batch_size(config)).repeat()
    return batches.take(_steps(len(features), config))


def _steps(num_examples: int, config: train.TrainConfig) -> int:
    per_epoch = -(-num_examples // _batch_size(config))
    return max(_EPOCHS * per_epoch, _LEAST_STEPS)


def _batch_size(config: train.TrainConfig) -> int:
    return max(config.training.batch_size, 128)


def _initialize(model: keras.Model, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        value = np.zeros(variable.shape, "float32")
        if len(variable.shape) == 2 and len(model.weights) > 2:
            # He et al. 2015, equation 10; a linear head starts at zero.
            spread = np.sqrt(2.0 / variable.shape[0])
            value = generator.normal(0, spread, variable.shape)
        variable.assign(value)


def _held_out(groups: Sequence[str], seed: int) -> np.ndarray:
    """Marks whole groups, about one example in `_HELD_OUT`."""
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    chosen = np.random.default_rng(seed).permutation(len(names))
    held = chosen < max(len(names) // _HELD_OUT, 1)
    return held[members]


def _log_loss(
    model: keras.Model, features: np.ndarray, targets: np.ndarray
) -> float:
    logits = inference.predict_rows(model, features)
    shifted = logits - logits.max(axis=1, keepdims=True)
    normal = np.log(np.exp(shifted).sum(axis=1))
    return float(np.mean(normal - (shifted * targets).sum(axis=1)))


def install(model: keras.Model, solution: Solution) -> None:
    """Gives the head the weights that were found and says how."""
    model.set_weights(list(solution.weights))
    logging.info("head: %s", solution.how)
