"""A head that reads feature maps, trained on those that were computed once.

Unlike a head on vectors it has a start of its own (He initialisation, batch
norms), and a step costs as much as one of the network's: there is one training
of `--head_epochs`, at a fixed strength, and no search.
"""

import keras

from tf_finetune.cache import batches
from tf_finetune.config import training_options
from tf_finetune.training import fit
from tf_finetune.training import stage as stages
from tf_finetune.training.solvers import problem as problems

_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 1e-4
# What --head_epochs is by default; on few pictures it would be a few steps.
_EPOCHS = 20
_LEAST_STEPS = 100


def solve(problem: problems.Problem) -> problems.Solution:
    """Trains from the weights that the head has.

    Args:
        problem: What goes into its head are maps.
    """
    model, options = problem.model, problem.config.training
    count, size = len(problem.features), options.batch_size
    steps = num_steps(options, count)
    schedule = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps)
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=_WEIGHT_DECAY),
        loss=problem.loss,
    )
    endless = batches.training(
        problem.features,
        problem.targets,
        unpack=problem.layout.tensors,
        batch_size=size,
        seed=problem.config.seed,
        first_epoch=0,
        epochs=-(-steps * size // count) + 1,
    )
    fit.fit(
        model,
        stages.Stage(
            name="head",
            epochs=1,
            steps_per_epoch=steps,
            batches=lambda epoch, step: endless.skip(step).take(steps),
        ),
    )
    how = f"{steps} steps of {size} pictures on cached feature maps"
    return problems.Solution(weights=tuple(model.get_weights()), how=how)


def num_steps(options: training_options.TrainingOptions, count: int) -> int:
    """Returns how many steps a decoder is trained for.

    Args:
        options: `head_epochs` is obeyed where it is given.
        count: Of the training pictures.
    """
    an_epoch = -(-count // options.batch_size)
    if options.head_epochs is not None:
        return options.head_epochs * an_epoch
    return max(_EPOCHS * an_epoch, _LEAST_STEPS)


def reads_maps(problem: problems.Problem) -> bool:
    """Whether what goes into the head has places."""
    return any(len(shape) > 1 for shape in problem.layout.shapes)
