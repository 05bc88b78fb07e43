"""The compiled trainer of a run's fine-tuning stage."""

import contextlib
from collections.abc import Iterator

import keras

from tf_finetune.model import freeze_boundary
from tf_finetune.runs import context as contexts
from tf_finetune.training import fine_tuning
from tf_finetune.training.devices import mixed_precision


def compile_trainer(
    context: contexts.RunContext, above: freeze_boundary.Boundary | None = None
) -> keras.Model:
    """Returns the trainer, ready for the fine-tuning stage.

    Args:
        context: The run.
        above: Trains on activations at this boundary; None: on pictures.
    """
    # The optimizer's variables must be made in the scope, too.
    network = above.suffix if above else context.assembly.trainer
    with context.strategy.scope():
        return fine_tuning.compile_trainer(
            context.adapted.build_trainer(network),
            context.config,
            loss=context.loss,
            metrics=context.task.network.metrics(context.data.class_names),
            num_examples=len(context.data.split("train")),
            settings=context.settings,
        )


@contextlib.contextmanager
def enter_training(context: contexts.RunContext) -> Iterator[None]:
    """Enters the scope of the devices, with the precision of training."""
    with (
        context.strategy.scope(),
        mixed_precision.apply_policy(
            context.assembly.backbone.model, context.settings.precision
        ),
    ):
        yield
