"""Fitting of the head on cached features, before any fine-tuning.

A linear head of a small problem is solved to its optimum (`solvers/`); a larger
problem, or a head with a hidden layer, is trained on the cached features by
the one `fit`. Either way the regularization strength is chosen on training data
alone. For these steps features are standardized; that is folded into the head's
first layer afterwards, which then takes raw features, as the model gives them.
"""

import dataclasses
import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune.config import train_config
from tf_finetune.data import epoch_order
from tf_finetune.data import split_targets as target_rows
from tf_finetune.feature_cache import batches
from tf_finetune.feature_cache import store as stores
from tf_finetune.model import assembly, inference
from tf_finetune.solvers import head_problem as problems
from tf_finetune.training import fit
from tf_finetune.training import fit_stage as stages

# Decoupled weight decays (AdamW) tried for a head that is trained by steps, and
# the length of each trial: a step on cached features costs about 1 ms.
_WEIGHT_DECAYS = (1e-4, 1e-2, 1.0)
_EPOCHS = 30
_MIN_STEPS = 600
_STEPS_PER_EPOCH = 50  # Where there are enough examples for larger batches.
_MIN_BATCH, _MAX_BATCH = 128, 2048
_LEARNING_RATE = 3e-3
_HELD_OUT = 5  # One training example in five validates the weight decay.


def solve_or_train(problem: problems.Problem) -> problems.Solution:
    """Fits the weights of a head; leaves the model itself unchanged.

    A linear head is solved where the problem is small enough for its solver;
    every other head is trained by gradient steps.

    Returns:
        Weights in Keras' order, for raw features, and how they were found.
    """
    with assembly.keep_values(problem.model.weights):
        if takes_feature_maps(problem.layout):
            # Not loaded for heads on vectors.
            from tf_finetune.training import decoder_head

            return decoder_head.solve(problem)
        found = None
        if problem.solver in problems.SOLVERS:
            found = problems.SOLVERS.get(problem.solver)(problem)
        if found:
            _warn_about_unused_options(problem.config)
        # A solver returns None for problems that are too large for it.
        return found or _fit_by_steps(problem)


def takes_feature_maps(layout: batches.RowLayout) -> bool:
    """Tells whether a head's inputs are feature maps instead of vectors."""
    # Shapes without batch: [width] of a vector, [height, width, channels] of a
    # feature map.
    return any(len(shape) > 1 for shape in layout.shapes)


def _warn_about_unused_options(config: train_config.TrainConfig) -> None:
    """Warns of options that act in gradient steps only, if there are none.

    Not an error: the head of a larger problem is trained by steps.
    """
    for name in ("dropout", "l2"):
        value = getattr(config.model, name)
        if value and not config.has_gradient_steps:
            logging.warning(
                "--%s=%g has no effect: the head is solved to its optimum, and "
                "nothing is trained by gradient steps",
                name,
                value,
            )


def _fit_by_steps(problem: problems.Problem) -> problems.Solution:
    standard = _FeatureScaling(problem.model, problem.features)
    held_out = _mark_held_out(problem.groups, problem.config.seed)
    judged = _select_pictures(problem, held_out)
    trained = _select_pictures(problem, ~held_out)
    losses = {}
    for decay in _WEIGHT_DECAYS:
        _train_head(trained, standard, decay)
        losses[decay] = _compute_loss(judged, standard)
    decay = min(losses, key=losses.get)
    # Once more on all training examples, with the decay that was chosen.
    _train_head(problem, standard, decay)
    # From here on the head takes raw features, as the whole model does.
    standard.fold_in()
    how = (
        f"{_count_steps(len(problem.features), problem.config)} steps on "
        f"cached features, weight decay {decay:g}"
    )
    return problems.Solution(
        weights=tuple(problem.model.get_weights()), how=how
    )


def _select_pictures(
    problem: problems.Problem, chosen: np.ndarray
) -> problems.Problem:
    """Returns the problem restricted to some of the pictures."""
    return dataclasses.replace(
        problem,
        features=problem.features.select(chosen),
        targets=target_rows.SelectedTargets(
            problem.targets, np.flatnonzero(chosen)
        ),
    )


class _FeatureScaling:
    """Standardization of each feature to mean 0 and deviation 1.

    It applies if the head's first layer can absorb it afterwards, as a dense
    layer or a batch norm can. Before any other layer (an activation, a layer
    norm, a convolution) features stay as they are.
    """

    def __init__(self, model: keras.Model, features: stores.Rows) -> None:
        """Measures the features.

        Args:
            model: The head alone: features → logits.
            features: Raw ones, of the training split.
        """
        self._layer = _find_absorbing_layer(model)
        if self._layer is None:
            return
        mean, variance = features.compute_moments()
        active = sum((e != 0).sum(axis=0) for e in features.iterate_blocks())
        scale = problems.bound_deviations(
            np.sqrt(variance), active / len(features)
        )
        self._mean = mean.astype("float32")
        self._scale = scale.astype("float32")

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        """Transforms raw rows [batch, width] for the head."""
        if self._layer is None:
            return rows
        return (rows - self._mean) / self._scale

    def fold_in(self) -> None:
        """Folds the transformation into the trained head."""
        layer = self._layer
        if layer is None:
            return
        if isinstance(layer, keras.layers.Dense):
            # ((x - mean) / scale) · kernel + bias, in terms of x.
            kernel, bias = layer.get_weights()
            kernel = kernel / self._scale[:, np.newaxis]
            assembly.assign_values(
                layer.weights, [kernel, bias - self._mean @ kernel]
            )
            return
        gamma, beta, mean, variance = layer.get_weights()
        raw = variance * self._scale**2
        # Batch norm adds epsilon to the variance, which is that of raw features
        # now: gamma makes up for the difference.
        gamma = gamma * np.sqrt(
            (raw + layer.epsilon) / (variance + layer.epsilon)
        )
        assembly.assign_values(
            layer.weights,
            [gamma / self._scale, beta, mean * self._scale + self._mean, raw],
        )


def _find_absorbing_layer(
    model: keras.Model,
) -> keras.layers.Dense | keras.layers.BatchNormalization | None:
    """Finds the first layer if it can absorb a standardization, else None.

    Only dropout may lie before it, which does nothing in inference.
    """
    if len(model.inputs) > 1:
        return None
    passing = (keras.layers.InputLayer, keras.layers.Dropout)
    for layer in model.layers:
        if type(layer) in (keras.layers.Dense, keras.layers.BatchNormalization):
            return layer
        if not isinstance(layer, passing):
            break
    return None


def _train_head(
    problem: problems.Problem,
    standard: _FeatureScaling,
    weight_decay: float,
) -> None:
    """Trains from initial weights that are the same for every decay."""
    model, config = problem.model, problem.config
    count = len(problem.features)
    _initialize_weights(model, config.seed)
    steps, size = _count_steps(count, config), _choose_batch_size(count, config)
    schedule = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay)
    # Weight decay on a norm's scale (gamma) would shrink all its features.
    scales = [v for v in model.trainable_variables if v.name == "gamma"]
    optimizer.exclude_from_weight_decay(var_list=scales)
    model.compile(optimizer=optimizer, loss=problem.loss)
    endless = batches.make_training_batches(
        problem.features,
        problem.targets,
        epoch_order.BatchOrder(
            batch_size=size,
            seed=config.seed,
            epochs=-(-steps * size // count) + 1,
        ),
        unpack=lambda rows: problem.layout.tensors(standard(rows)),
    )
    fit.fit(
        model,
        stages.FitStage(
            name="head",
            # One long epoch: a small problem has only a step per epoch.
            epochs=1,
            steps_per_epoch=steps,
            batches=lambda epoch, step: endless.skip(step).take(steps),
            grace_seconds=config.interruptions.grace_seconds,
        ),
    )


def _count_steps(num_examples: int, config: train_config.TrainConfig) -> int:
    per_epoch = -(-num_examples // _choose_batch_size(num_examples, config))
    return max(_EPOCHS * per_epoch, _MIN_STEPS)


def _choose_batch_size(
    num_examples: int, config: train_config.TrainConfig
) -> int:
    good = min(num_examples // _STEPS_PER_EPOCH, _MAX_BATCH)
    return max(config.training.batch_size, good, _MIN_BATCH)


def _initialize_weights(model: keras.Model, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        value = np.zeros(variable.shape, "float32")
        if variable.name in ("gamma", "moving_variance"):
            value += 1  # Scale and variance of a norm start at 1.
        elif len(variable.shape) > 1 and len(model.weights) > 2:
            # He et al. 2015, equation 10; a linear head starts at zero.
            spread = np.sqrt(2.0 / math.prod(variable.shape[:-1]))
            value = generator.normal(0, spread, variable.shape)
        variable.assign(value)


def _mark_held_out(groups: Sequence[str], seed: int) -> np.ndarray:
    """Marks held-out examples by whole groups, about one in `_HELD_OUT`.

    Marks single examples where all belong to one group.
    """
    if len(set(groups)) == 1:
        groups = [str(number) for number in range(len(groups))]
    # Not np.unique: it copies long keys and takes much memory.
    place = {key: index for index, key in enumerate(sorted(set(groups)))}
    chosen = np.random.default_rng(seed).permutation(len(place))
    held = chosen < max(len(place) // _HELD_OUT, 1)
    return held[[place[key] for key in groups]]


def _compute_loss(
    problem: problems.Problem, standard: _FeatureScaling
) -> float:
    """Returns the mean loss of the model with its present weights."""
    size = _choose_batch_size(len(problem.features), problem.config)
    network = inference.compile_step(problem.model)
    inputs = batches.make_ordered_batches(
        problem.features,
        unpack=lambda rows: problem.layout.tensors(standard(rows)),
        batch_size=size,
    )
    expected = target_rows.batch_in_order(problem.targets, size)
    total = 0.0
    for tensors, truth in zip(inputs, expected, strict=True):
        logits = inference.apply_step(network, tensors)
        # Summed over examples: batches may differ in size.
        total += float(tf.reduce_sum(problem.judged_by.call(truth, logits)))
    return total / len(problem.features)


def set_solution(model: keras.Model, solution: problems.Solution) -> None:
    """Assigns a solution to the weights of a head and logs how it was found."""
    assembly.assign_values(model.weights, solution.weights)
    logging.info("head: %s", solution.how)
