"""Fine-tunes on groups: a labeled picture with unlabeled ones beside it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_finetune.config import options
from tf_finetune.data import mixed_groups as group_data
from tf_finetune.data import split_targets as target_rows
from tf_finetune.runs import candidates, split_evaluation
from tf_finetune.runs import context as contexts
from tf_finetune.runs import fine_tune_stage as trainers
from tf_finetune.runs.objectives import objective_protocol
from tf_finetune.semi_supervised import group_model
from tf_finetune.training import fine_tuning, history
from tf_finetune.training.distributed import replicas


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupedTraining:
    """Network to be trained on mixed groups, with the groups and the loss.

    Attributes:
        network: Model from pictures to logits, and to other outputs that the
            loss reads.
        form: Shapes of target and logits of one picture, which are flattened
            into one row per group for the loss.
        groups: The groups: a labeled picture with unlabeled ones each.
        loss: Loss of these rows.
        pictures: Pictures in a group, each augmented view counted.
    """

    network: keras.Model
    form: group_model.GroupLayout
    groups: group_data.MixedGroups
    loss: keras.losses.Loss
    pictures: int


def make_groups(
    given: objective_protocol.ObjectiveInputs,
    views: group_data.Views,
    known: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> group_data.MixedGroups:
    """Groups each labeled picture with `--unlabeled_ratio` unlabeled ones.

    Args:
        given: The run and its unlabeled pictures.
        views: Augments the unlabeled pictures of a group.
        known: Maps int64 [n] numbers of unlabeled pictures to float32 [n,
            width] known values of each, which join the targets; None: none.

    Returns:
        Groups that are drawn anew in every epoch.
    """
    context = given.context
    return group_data.MixedGroups(
        labeled=[picture.path for picture in context.data.split("train")],
        targets=context.targets("train"),
        unlabeled=[picture.path for picture in given.pool.pictures],
        beside=context.config.unlabeled.unlabeled_ratio,
        views=views,
        augmentation=context.config.training.augmentation,
        square=context.square,
        seed=context.config.seed,
        known=known,
    )


def make_form(
    context: contexts.RunContext, targets: target_rows.Targets
) -> group_model.GroupLayout:
    """Returns the shapes of target and logits that groups flatten into rows.

    Args:
        context: The run; the logits are those of its model.
        targets: Targets of labeled pictures.
    """
    # Without the batch axis; targets of tasks have different shapes.
    spec = target_rows.batch_in_order(targets, 1).element_spec
    return group_model.GroupLayout(
        target=tuple(spec.shape[1:]),
        logits=tuple(context.assembly.trainer.output_shape[1:]),
        dtype=spec.dtype.name,
    )


def train_groups(
    given: objective_protocol.ObjectiveInputs, training: GroupedTraining
) -> objective_protocol.ObjectiveResult:
    """Fine-tunes on mixed groups, from the weights of the supervised candidate.

    Args:
        given: The run, whose model ends with the trained weights.
        training: Network, groups and loss.

    Returns:
        The trained candidate, evaluated on validation, and its history.
    """
    context = given.context
    candidates.assign_candidate(context, given.supervised)
    table = _fine_tune(
        _count_groups_as_batch(context, training.pictures), training
    )
    found = split_evaluation.evaluate_model(context, "validation")
    tuned = candidates.make_candidate(
        context, "fine_tune", {"validation": found}
    )
    return objective_protocol.ObjectiveResult(
        candidate=tuned,
        table=table,
        facts={"groups": len(training.groups)},
        text=(
            f"{len(table)} epochs of {len(training.groups)} labeled pictures, "
            f"each with {training.groups.beside} of "
            f"{len(given.pool.pictures)} unlabeled ones"
        ),
    )


def make_feed(
    context: contexts.RunContext, dealt: group_data.MixedGroups
) -> fine_tuning.TrainingFeed:
    """Builds the training batches of mixed groups and the validation batches.

    Args:
        context: The run; its batch size counts groups.
        dealt: The groups of the training split.
    """
    batch_size = context.config.training.batch_size
    order = fine_tuning.order_batches(
        context.config, len(dealt), replicas.find_own_part(context.strategy)
    )
    images = split_evaluation.load_images(
        context.data.split("validation"),
        context.config,
        image_size=context.image_size,
    )
    # Validation pictures come alone, as in the supervised run.
    expected = target_rows.batch_in_order(
        context.targets("validation"), batch_size
    )
    return fine_tuning.TrainingFeed(
        num_examples=len(dealt),
        batches=lambda epoch, step: group_data.build_batches(
            dealt, order.start_at(epoch, step)
        ),
        validation=group_data.wrap_labeled(images, expected),
        names=lambda epoch, step: dealt.names(epoch, step, order.batch_size),
    )


def _count_groups_as_batch(
    context: contexts.RunContext, pictures: int
) -> contexts.RunContext:
    """Returns the run with a batch size in groups instead of pictures."""
    # So that a step needs about as much memory as --batch_size allows.
    groups_a_step = max(context.config.training.batch_size // pictures, 1)
    config = options.replace(context.config, batch_size=groups_a_step)
    return dataclasses.replace(context, config=config)


def _fine_tune(
    context: contexts.RunContext, training: GroupedTraining
) -> Sequence[Mapping[str, Any]]:
    with context.strategy.scope():
        metrics = context.task.network.metrics(context.data.class_names)
        trainer = fine_tuning.compile_trainer(
            group_model.build_trainer(
                context.adapted.build_trainer(training.network)
            ),
            context.config,
            adapted=context.adapted,
            loss=training.loss,
            # Metrics of training see the labeled picture of a group alone.
            metrics=[
                group_model.LabeledMetric(e, training.form) for e in metrics
            ],
            num_examples=len(training.groups),
            settings=context.settings,
        )
    with trainers.enter_training(context):
        outcome = fine_tuning.fit_trainer(
            trainer,
            make_feed(context, training.groups),
            adapted=context.adapted,
            task=context.task,
            config=context.config,
            place=context.shared,
            writes=context.is_chief,
            report=lambda rows: None,
        )
    return history.make_rows("fine_tune", outcome.rows)
