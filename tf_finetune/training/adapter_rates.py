"""Learning rates of adapters, as multiples of an optimizer's default."""

import dataclasses

from tf_finetune.adaptation import catalog
from tf_finetune.config import training_options
from tf_finetune.training import optimizers


def scale_rate(
    options: training_options.TrainingOptions, adaptation: str
) -> training_options.TrainingOptions:
    """Returns training options with the default learning rate of adapters.

    Args:
        options: The optimizer, and the user's rate if any, which is kept.
        adaptation: Value of `--adaptation`; a method that is no adapter keeps
            the optimizer's default.
    """
    factor = catalog.find_rate_factor(adaptation)
    if options.learning_rate is not None or factor == 1:
        return options
    rate = optimizers.choose_learning_rate(options) * factor
    return dataclasses.replace(options, learning_rate=rate)
