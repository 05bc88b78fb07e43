"""Fitting of the head on cached features, before any fine-tuning.

A linear head of a small problem is solved to its optimum (`solvers/`); a larger
problem, or a head with a hidden layer, is trained on the cached features by
the one `fit`. Either way the regularization strength is chosen on training data
alone.
"""

import dataclasses
import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import inference
from tf_finetune.cache import batches
from tf_finetune.config import train
from tf_finetune.data import targets as target_rows
from tf_finetune.training import fit
from tf_finetune.training import stage as stages
from tf_finetune.training.solvers import catalog, decoder, standardising
from tf_finetune.training.solvers import problem as problems
from tf_finetune.training.unlabelled import catalog as objectives

# Decoupled weight decays (AdamW) tried for a head that is trained by steps, and
# the length of each trial: a step on cached features costs about 1 ms.
_WEIGHT_DECAYS = (1e-4, 1e-2, 1.0)
_EPOCHS = 30
_LEAST_STEPS = 600
_STEPS_PER_EPOCH = 50  # Where there are enough examples for larger batches.
_SMALLEST_BATCH, _LARGEST_BATCH = 128, 2048
_LEARNING_RATE = 3e-3
_HELD_OUT = 5  # One training example in five validates the weight decay.


def solve(problem: problems.Problem) -> problems.Solution:
    """Fits the head's weights; leaves the model itself unchanged."""
    before = problem.model.get_weights()
    try:
        if decoder.reads_maps(problem):
            return decoder.solve(problem)
        found = None
        options = problem.config.model
        is_linear = options.head in ("auto", "linear")
        is_linear = is_linear and not options.surgery.head_layers
        if is_linear and problem.solver in catalog.SOLVERS:
            found = catalog.SOLVERS.get(problem.solver)(problem)
        if found:
            _warn_of_unread(problem.config)
        # A solver returns None for problems that are too large for it.
        return found or _by_steps(problem)
    finally:
        problem.model.set_weights(before)


def _warn_of_unread(config: train.TrainConfig) -> None:
    """Warns of options that act in gradient steps only, if there are none.

    Not an error: the head of a larger problem is trained by steps.
    """
    for name in ("dropout", "l2"):
        value = getattr(config.model, name)
        if value and not objectives.takes_steps(config):
            logging.warning(
                "--%s=%g has no effect: the head is solved to its optimum, and "
                "nothing is trained by gradient steps",
                name,
                value,
            )


def _by_steps(problem: problems.Problem) -> problems.Solution:
    standard = standardising.standard(problem.model, problem.features)
    held_out = _held_out(problem.groups, problem.config.seed)
    judged, trained = _part(problem, held_out), _part(problem, ~held_out)
    losses = {}
    for decay in _WEIGHT_DECAYS:
        _train(trained, standard, decay)
        losses[decay] = _loss(judged, standard)
    decay = min(losses, key=losses.get)
    # Once more on all training examples, with the decay that was chosen.
    _train(problem, standard, decay)
    # From here on the head takes raw features, as the whole model does.
    standard.move_into(problem.model)
    how = (
        f"{_steps(len(problem.features), problem.config)} steps on cached "
        f"features, weight decay {decay:g}"
    )
    return problems.Solution(
        weights=tuple(problem.model.get_weights()), how=how
    )


def _part(problem: problems.Problem, chosen: np.ndarray) -> problems.Problem:
    """Returns the problem restricted to some of the pictures."""
    return dataclasses.replace(
        problem,
        features=problem.features.select(chosen),
        targets=target_rows.Selected(problem.targets, np.flatnonzero(chosen)),
    )


def _train(
    problem: problems.Problem,
    standard: standardising.Standard,
    weight_decay: float,
) -> None:
    """Trains from initial weights that are the same for every decay."""
    model, config = problem.model, problem.config
    count = len(problem.features)
    _initialize(model, config.seed)
    steps, size = _steps(count, config), _batch_size(count, config)
    schedule = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay)
    # Weight decay on a norm's scale (gamma) would shrink all its features.
    scales = [v for v in model.trainable_variables if v.name == "gamma"]
    optimizer.exclude_from_weight_decay(var_list=scales)
    model.compile(optimizer=optimizer, loss=problem.loss)
    endless = batches.training(
        problem.features,
        problem.targets,
        unpack=lambda rows: problem.layout.tensors(standard(rows)),
        batch_size=size,
        seed=config.seed,
        first_epoch=0,
        epochs=-(-steps * size // count) + 1,
    )
    fit.fit(
        model,
        stages.Stage(
            name="head",
            # One long epoch: a small problem has only a step per epoch.
            epochs=1,
            steps_per_epoch=steps,
            batches=lambda epoch, step: endless.skip(step).take(steps),
            grace_seconds=config.interruptions.grace_seconds,
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
        if variable.name in ("gamma", "moving_variance"):
            value += 1  # Scale and variance of a norm start at 1.
        elif len(variable.shape) > 1 and len(model.weights) > 2:
            # He et al. 2015, equation 10; a linear head starts at zero.
            spread = np.sqrt(2.0 / math.prod(variable.shape[:-1]))
            value = generator.normal(0, spread, variable.shape)
        variable.assign(value)


def _held_out(groups: Sequence[str], seed: int) -> np.ndarray:
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


def _loss(problem: problems.Problem, standard: standardising.Standard) -> float:
    """Returns the mean loss of the model with its present weights."""
    size = _batch_size(len(problem.features), problem.config)
    network = inference.step(problem.model)
    inputs = batches.in_order(
        problem.features,
        unpack=lambda rows: problem.layout.tensors(standard(rows)),
        batch_size=size,
    )
    expected = target_rows.in_order(problem.targets, size)
    total = 0.0
    for tensors, truth in zip(inputs, expected, strict=True):
        logits = inference.called(network, tensors)
        # Summed over examples: batches may differ in size.
        total += float(tf.reduce_sum(problem.judged_by.call(truth, logits)))
    return total / len(problem.features)


def install(model: keras.Model, solution: problems.Solution) -> None:
    """Sets the head's weights to a solution and logs how it was found."""
    model.set_weights(list(solution.weights))
    logging.info("head: %s", solution.how)
