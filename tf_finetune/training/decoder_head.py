"""Training of a decoder head on cached feature maps.

Unlike a head on vectors it has an initialization of its own (He initialization,
batch norms), and a step costs as much as one of the network's: there is one
training of `--head_epochs`, at a fixed weight decay, and no search.
"""

import keras

from tf_finetune.config import training_options
from tf_finetune.data import epoch_order
from tf_finetune.feature_cache import batches
from tf_finetune.solvers import head_problem as problems
from tf_finetune.training import fit
from tf_finetune.training import fit_stage as stages

_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 1e-4
# The default of --head_epochs, and a minimum for few pictures, where 20 epochs
# are only a few steps.
_EPOCHS = 20
_MIN_STEPS = 100


def solve(problem: problems.Problem) -> problems.Solution:
    """Trains a decoder head on cached feature maps, from its present weights.

    Args:
        problem: Problem whose head takes feature maps; its model is trained in
            place.

    Returns:
        The trained weights, in Keras' order, and how they were found.
    """
    model, options = problem.model, problem.config.training
    count, size = len(problem.features), options.batch_size
    steps = count_steps(options, count)
    schedule = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps)
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=_WEIGHT_DECAY),
        loss=problem.loss,
    )
    endless = batches.make_training_batches(
        problem.features,
        problem.targets,
        epoch_order.BatchOrder(
            batch_size=size,
            seed=problem.config.seed,
            epochs=-(-steps * size // count) + 1,
        ),
        unpack=problem.layout.tensors,
    )
    fit.fit(
        model,
        stages.FitStage(
            name="head",
            epochs=1,  # As one epoch: nothing is validated in between.
            steps_per_epoch=steps,
            batches=lambda epoch, step: endless.skip(step).take(steps),
        ),
    )
    how = f"{steps} steps of {size} pictures on cached feature maps"
    return problems.Solution(weights=tuple(model.get_weights()), how=how)


def count_steps(options: training_options.TrainingOptions, count: int) -> int:
    """Returns the number of training steps of a decoder head.

    Args:
        options: `head_epochs` (None: 20 epochs, and at least 100 steps) and
            `batch_size`.
        count: Pictures of the training split.
    """
    an_epoch = -(-count // options.batch_size)
    if options.head_epochs is not None:
        return options.head_epochs * an_epoch
    return max(_EPOCHS * an_epoch, _MIN_STEPS)
