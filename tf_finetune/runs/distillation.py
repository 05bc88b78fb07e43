"""Distillation in a run: targets, loss and batches with a teacher's logits."""

import contextlib
import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
from absl import logging

from tf_finetune.config import train_config
from tf_finetune.data import split_targets as target_rows
from tf_finetune.data import view_batches
from tf_finetune.feature_cache import fill
from tf_finetune.runs import context as contexts
from tf_finetune.runs import distillation_record, teacher_logits
from tf_finetune.runs import teacher as teachers
from tf_finetune.semi_supervised import distillation, teacher_targets
from tf_finetune.tasks import task as task_contract
from tf_finetune.training import fine_tuning
from tf_finetune.training.distributed import replicas, strategies


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distillation:
    """The teacher of a run.

    Attributes:
        logits: Its logits of the run's pictures.
        kind: How the student is compared with it.
        unlabeled: SHA-256 of training pictures without a label, of which the
            teacher is the whole loss.
    """

    logits: teacher_logits.TeacherLogits
    kind: distillation.Kind
    unlabeled: frozenset[str] = frozenset()

    def wrap_loss(
        self, context: contexts.RunContext, loss: keras.losses.Loss
    ) -> distillation.DistillationLoss:
        """Combines the loss of the labels with that of the teacher."""
        return distillation.DistillationLoss(
            loss,
            kind=self.kind,
            temperature=context.config.unlabeled.distill_temperature,
            exclusive=context.task.network.activation == "softmax",
        )

    def wrap_metrics(
        self, metrics: Sequence[keras.metrics.Metric]
    ) -> list[keras.metrics.Metric]:
        """Makes metrics of labels read the targets of a teacher."""
        return [distillation.LabelMetric(each) for each in metrics]

    def make_targets(
        self, context: contexts.RunContext, labels: target_rows.Targets
    ) -> teacher_targets.TeacherTargets:
        """Adds the teacher's logits to the labels of the training split.

        Args:
            context: The run; its pictures may be others than at its beginning.
            labels: Targets of its training split.
        """
        pictures = context.data.split("train")
        unlabeled = np.array([p.sha256 in self.unlabeled for p in pictures])
        weight = context.config.unlabeled.distill_weight
        views = context.config.training.num_views
        return teacher_targets.TeacherTargets(
            labels,
            self.logits.compute(pictures, views),
            share=np.where(unlabeled, 1.0, weight),
            unlabeled=unlabeled,
        )

    def use_views(
        self,
        context: contexts.RunContext,
        feed: fine_tuning.TrainingFeed,
        targets: target_rows.Targets,
    ) -> fine_tuning.TrainingFeed:
        """Feeds pictures in the views that the teacher has seen.

        Args:
            context: The run; its config has the number of epochs.
            feed: Feed of pictures that are augmented anew in every epoch.
            targets: Targets of the training split, by view.

        Returns:
            The same validation; unchanged without augmentation.
        """
        options, pictures = (
            context.config.training,
            context.data.split("train"),
        )
        if options.num_views == 1:
            return feed
        viewed = view_batches.ViewedPictures(
            paths=[picture.path for picture in pictures],
            targets=targets,
            seeds=np.stack(
                [
                    fill.derive_seeds(context.cache.list_views(each, pictures))
                    for each in range(1, options.num_views)
                ]
            ),
            augmentation=options.augmentation,
            square=context.square,
        )
        part = replicas.find_own_part(context.strategy)
        order = fine_tuning.order_batches(context.config, len(pictures), part)
        return dataclasses.replace(
            feed,
            batches=lambda epoch, step: view_batches.build_batches(
                viewed, order.start_at(epoch, step)
            ),
        )


def attach_teacher(
    context: contexts.RunContext, held: contextlib.ExitStack
) -> contexts.RunContext:
    """Returns the run with its teacher, whose logits are all computed.

    Args:
        context: The prepared run, with `--teacher`.
        held: Exit stack that keeps cache entries from being evicted until it is
            closed.

    Raises:
        UsageError: The teacher is no model of the run's classes, or another
            one than that of the unfinished run in the workdir.
        RunError: It cannot be read, or a picture has changed.
    """
    names = context.data.class_names
    teacher = teachers.load_teacher(
        context.config,
        context.task.network,
        names,
        image_size=context.image_size,
    )
    distillation_record.require_same_teacher(context, teacher.key)
    # The chief fills the cache; the others read it.
    with strategies.run_chief_first(context.strategy):
        found = Distillation(
            logits=teacher_logits.TeacherLogits(teacher, context, held),
            kind=choose_kind(context.config, context.task, names),
        )
        context = dataclasses.replace(context, distillation=found)
        context.fit_targets("train")
    if (
        found.kind == "dist"
        and context.config.training.gradient_accumulation_steps > 1
    ):
        logging.info(
            "distillation: correlations over pictures are those of each "
            "micro-batch (--gradient_accumulation_steps)"
        )
    return context


def choose_kind(
    config: train_config.TrainConfig,
    task: task_contract.Task,
    names: Sequence[str],
) -> distillation.Kind:
    """Returns the value of `--distill`, or the one that "auto" stands for."""
    chosen = config.unlabeled.distill
    if chosen != "auto":
        return chosen
    # Two probabilities correlate with two others by 1 or -1, never between.
    return "dist" if "dist" in task.distill and len(names) > 2 else "kd"


def describe_plan(context: contexts.RunContext) -> str:
    """Describes the teacher of a run and its loss in one line."""
    options = context.config.unlabeled
    kind = choose_kind(context.config, context.task, context.data.class_names)
    return (
        f"teacher: {options.teacher} (--teacher); {kind} (--distill) at "
        f"temperature {options.distill_temperature:g} "
        f"(--distill_temperature), {options.distill_weight:g} of the loss "
        "(--distill_weight)"
    )
