"""Fine-tunes the model of a run: its second stage."""

import contextlib
from collections.abc import Iterator, Sequence

import keras

from tf_finetune.model import assembly, freeze_boundary
from tf_finetune.runs import boundary_activations as boundaries
from tf_finetune.runs import context as contexts
from tf_finetune.runs import split_evaluation
from tf_finetune.training import fine_tuning, fit, history
from tf_finetune.training.devices import device_settings
from tf_finetune.training.distributed import replicas


def fine_tune(
    context: contexts.RunContext,
    timed: keras.Model | None,
    activations: boundaries.BoundaryActivations | None,
) -> list[dict]:
    """Fine-tunes the model of a run in place, from its present weights.

    The model ends with the weights of its best epoch on validation, or of the
    last with `--keep_epoch=last`, after `--interpolate`. The history is written
    to the workdir after every epoch.

    Args:
        context: The run.
        timed: Compiled model above the freeze boundary, if its step was timed;
            None: it is compiled here.
        activations: Cached activations of every view to train on; None:
            pictures are decoded and augmented in every epoch.

    Returns:
        History rows of the epochs, as `history.make_rows` builds them.
    """
    # On cached rows only the part above the freeze boundary is trained; it
    # shares its layers with the whole model.
    options = context.config.training
    boundary = context.networks.boundary if activations else None
    trainer = timed if activations else None
    trainer = trainer or prepare_trainer(context, boundary)
    feed = make_feed(context, activations)
    share, weights = options.interpolate, context.assembly.model.weights
    start = assembly.copy_values(weights) if share < 1 else []
    outcome = fit_stage(context, trainer, feed)
    if start:
        ended = assembly.copy_values(weights)
        mixed = assembly.interpolate_values(start, ended, share)
        assembly.assign_values(weights, mixed)
    return history.make_rows("fine_tune", outcome.rows)


def fit_stage(
    context: contexts.RunContext,
    trainer: keras.Model,
    feed: fine_tuning.TrainingFeed,
    *,
    name: str | None = None,
    table: Sequence[dict] = (),
) -> fit.Outcome:
    """Trains a stage and writes the history after every epoch.

    Args:
        context: The run, as of this stage.
        trainer: Model that `prepare_trainer` returned.
        feed: Training and validation batches.
        name: Name of one of several stages; None: it is the only one.
        table: History rows of the stages before it.
    """
    with enter_training(context):
        return fine_tuning.fit_trainer(
            trainer,
            feed,
            adapted=context.adapted,
            task=context.task,
            config=context.config,
            # Checkpoints of the chief are read by all workers.
            place=context.shared,
            writes=context.is_chief,
            report=lambda rows: history.write(
                context.place.history,
                [*table, *history.make_rows(name or "fine_tune", rows)],
            ),
            name=name,
        )


def evaluate_fine_tuned(
    context: contexts.RunContext,
    activations: boundaries.BoundaryActivations | None,
) -> split_evaluation.Evaluations:
    """Evaluates the fine-tuned model on every split, or on validation alone.

    Args:
        context: The run.
        activations: With them every split is evaluated from the cache; None:
            validation alone is evaluated, from pictures.

    Returns:
        Evaluations by split name.
    """
    if activations is None:
        found = split_evaluation.evaluate_model(context, "validation")
        return {"validation": found}
    return split_evaluation.evaluate_logits(
        context,
        activations.rows,
        lambda split: activations.stream_logits(context, split),
    )


def make_feed(
    context: contexts.RunContext,
    activations: boundaries.BoundaryActivations | None,
) -> fine_tuning.TrainingFeed:
    """Builds the training and validation batches of a fit stage.

    Args:
        context: The run; its config has the number of epochs.
        activations: Cached activations of every view; None: pictures are
            decoded and augmented in every epoch.
    """
    part = replicas.find_own_part(context.strategy)
    targets = {s: context.fit_targets(s) for s in ("train", "validation")}
    if activations is None:
        feed = fine_tuning.feed_pictures(
            context.data,
            targets,
            context.config,
            image_size=context.image_size,
            part=part,
        )
        if context.distillation is None:
            return feed
        return context.distillation.use_views(context, feed, targets["train"])
    # All views of training pictures; validation is never augmented.
    rows = {
        "train": activations.views,
        "validation": activations.rows["validation"],
    }
    return fine_tuning.feed_cached_rows(
        rows,
        context.networks.boundary.tensors,
        context.data,
        targets,
        context.config,
        part=part,
    )


def prepare_trainer(
    context: contexts.RunContext, above: freeze_boundary.Boundary | None = None
) -> keras.Model:
    """Compiles the Keras model that the fine-tuning stage trains.

    Args:
        context: The run.
        above: Freeze boundary whose cached activations are the inputs; None:
            the inputs are pictures.

    Returns:
        Compiled model up to the logits, made in the scope of the strategy; it
        shares its layers with the model of the run.
    """
    # The optimizer's variables must be made in the scope, too.
    network = above.suffix if above else context.assembly.trainer
    with context.strategy.scope():
        trainer = fine_tuning.compile_trainer(
            _protect_classes(context, context.adapted.build_trainer(network)),
            context.config,
            adapted=context.adapted,
            loss=context.loss,
            metrics=context.make_metrics(),
            num_examples=len(context.data.split("train")),
            settings=context.settings,
            continues=context.carried is not None,
        )
        if context.carried is not None:
            # Loaded only here: a run of one stage needs none of it.
            from tf_finetune.training import optimizer_state

            optimizer_state.carry_over(trainer, context.carried)
        return trainer


def _protect_classes(
    context: contexts.RunContext, network: keras.Model
) -> keras.Model:
    if not context.config.model.keeps_classes:
        return network
    from tf_finetune.runs import kept_classes  # Only for such classes.

    return kept_classes.remember_logits(context, network)


@contextlib.contextmanager
def enter_training(context: contexts.RunContext) -> Iterator[None]:
    """Enters the strategy's scope; the backbone computes in `--precision`.

    Leaving the block restores both; the backbone computes in float32 again.
    Within it the head's columns of classes without pictures do not move.

    Args:
        context: The run.
    """
    with (
        context.strategy.scope(),
        device_settings.apply_policy(
            context.assembly.backbone.model, context.settings.precision
        ),
        _hold_columns(context),
    ):
        yield


def _hold_columns(
    context: contexts.RunContext,
) -> contextlib.AbstractContextManager:
    if not context.config.model.keeps_classes:
        return contextlib.nullcontext()
    from tf_finetune.runs import kept_classes  # Only for such classes.

    return kept_classes.hold_columns(context)
