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
from tf_finetune.cache import batches
from tf_finetune.cache import store as stores
from tf_finetune.config import train
from tf_finetune.training import fit, objectives, probe
from tf_finetune.training import stage as stages

# Decoupled weight decays tried for a head that is trained by steps, and the
# length of each trial: on cached features a step costs about a millisecond.
_WEIGHT_DECAYS = (1e-4, 1e-2, 1.0)
_EPOCHS = 30
_LEAST_STEPS = 600
_STEPS_PER_EPOCH = 50  # Where there are enough examples for larger batches.
_SMALLEST_BATCH, _LARGEST_BATCH = 128, 2048
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
    features: stores.Rows,
    targets: np.ndarray,
    *,
    config: train.TrainConfig,
    groups: Sequence[str],
) -> Solution:
    """Finds the head's weights; leaves the model as it was.

    Args:
        model: Features [batch, width] → logits [batch, classes].
        features: n rows, of the training split.
        targets: [n, classes] one-hot.
        config: `head`, `class_weight` and `seed` are read.
        groups: For each example; those of one group are judged together.
    """
    before = model.get_weights()
    try:
        if config.model.head == "linear" and probe.is_small(
            len(features), features.width, targets.shape[1]
        ):
            return _exact(features.all(), targets, config=config, groups=groups)
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
    features: stores.Rows,
    targets: np.ndarray,
    *,
    config: train.TrainConfig,
    groups: Sequence[str],
) -> Solution:
    standard = _Standard(features)
    held_out = _held_out(groups, config.seed)
    judged = features.select(held_out), targets[held_out]
    trained = features.select(~held_out), targets[~held_out]
    losses = {}
    for decay in _WEIGHT_DECAYS:
        _train(model, *trained, standard, decay, config)
        losses[decay] = _log_loss(model, *judged, standard)
    decay = min(losses, key=losses.get)
    _train(model, features, targets, standard, decay, config)
    kernel, bias, *rest = model.get_weights()
    kernel = kernel / standard.scale[:, np.newaxis]
    bias = bias - standard.mean @ kernel
    how = (
        f"{_steps(len(features), config)} steps on cached features, weight "
        f"decay {decay:g}"
    )
    return Solution(weights=(kernel, bias, *rest), how=how)


class _Standard:
    """What makes each feature of mean 0 and deviation 1, found in one pass."""

    def __init__(self, features: stores.Rows) -> None:
        count, total, squares = len(features), 0.0, 0.0
        for block in features.blocks():
            total = total + block.sum(axis=0, dtype="float64")
        mean = total / count
        for block in features.blocks():
            squares = squares + ((block - mean) ** 2).sum(axis=0)
        scale = np.sqrt(squares / count)
        self.mean = mean.astype("float32")
        self.scale = np.where(scale > 1e-6, scale, 1.0).astype("float32")

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        return (rows - self.mean) / self.scale


def _train(
    model: keras.Model,
    features: stores.Rows,
    targets: np.ndarray,
    standard: _Standard,
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
    size = _batch_size(len(features), config)
    endless = batches.training(
        features,
        targets,
        unpack=standard,
        batch_size=size,
        seed=config.seed,
        first_epoch=0,
        epochs=-(-steps * size // len(features)) + 1,
    )
    fit.fit(
        model,
        stages.Stage(
            name="head",
            # As one epoch: those of a small problem would be a step each.
            epochs=1,
            steps_per_epoch=steps,
            batches=lambda epoch, step: endless.skip(step).take(steps),
        ),
    )


def _steps(num_examples: int, config: train.TrainConfig) -> int:
    per_epoch = -(-num_examples // _batch_size(num_examples, config))
    return max(_EPOCHS * per_epoch, _LEAST_STEPS)


def _batch_size(num_examples: int, config: train.TrainConfig) -> int:
    good = min(num_examples // _STEPS_PER_EPOCH, _LARGEST_BATCH)
    return max(config.training.batch_size, good, _SMALLEST_BATCH)


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
    # Not by np.unique, whose copies of long keys take much memory.
    place = {key: index for index, key in enumerate(sorted(set(groups)))}
    chosen = np.random.default_rng(seed).permutation(len(place))
    held = chosen < max(len(place) // _HELD_OUT, 1)
    return held[[place[key] for key in groups]]


def _log_loss(
    model: keras.Model,
    features: stores.Rows,
    targets: np.ndarray,
    standard: _Standard,
) -> float:
    logits = inference.predict(model, map(standard, features.blocks()))
    shifted = logits - logits.max(axis=1, keepdims=True)
    normal = np.log(np.exp(shifted).sum(axis=1))
    return float(np.mean(normal - (shifted * targets).sum(axis=1)))


def install(model: keras.Model, solution: Solution) -> None:
    """Gives the head the weights that were found and says how."""
    model.set_weights(list(solution.weights))
    logging.info("head: %s", solution.how)
