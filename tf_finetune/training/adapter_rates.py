"""Learning rates of adapters, as multiples of an optimizer's default."""

import dataclasses

from tf_finetune.adaptation import catalog
from tf_finetune.config import train_config, training_options
from tf_finetune.training import optimizers


def resolve_options(
    config: train_config.TrainConfig,
) -> training_options.TrainingOptions:
    """Returns the training options with the norm and rate of a run.

    Args:
        config: The run's config.

    Returns:
        Options with a norm in place of `--clip_norm=auto`
        (`optimizers.resolve_clipping`), and with the default rate of adapters
        where they train and the user gave none.
    """
    options = optimizers.resolve_clipping(config)
    factor = catalog.find_rate_factor(config.model.adaptation)
    if options.learning_rate is not None or factor == 1:
        return options
    rate = optimizers.choose_learning_rate(options) * factor
    return dataclasses.replace(options, learning_rate=rate)
