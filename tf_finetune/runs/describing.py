"""Describes the plan of a run: trainable layers, settings and reasons."""

import keras
from absl import logging

from tf_finetune.adaptation import plan
from tf_finetune.backbones.surgery import change
from tf_finetune.data import statistics
from tf_finetune.runs import course as courses
from tf_finetune.training import optimizers
from tf_finetune.training.solvers import decoder
from tf_finetune.training.unlabelled import catalog

_HEADS = {"probe": "solved", "random": "random"}


def text(course: courses.Course) -> str:
    """Returns the plan: trainable layers, settings and their reasons."""
    lines = [_supervised(course), *_unlabelled(course)]
    return "\n".join(lines)


def _unlabelled(course: courses.Course) -> list[str]:
    options = course.config.unlabelled
    if options.chosen == catalog.SUPERVISED:
        return []
    return [
        f"then again with --unlabeled_data={options.unlabeled_data}: "
        f"{options.chosen} (--objective); the better one is kept"
    ]


def _supervised(course: courses.Course) -> str:
    options = course.config.training
    table = plan.text(plan.rows(course.built, course.selection))
    parts = [course.settings.line, change.text(_changes(course)), table]
    table = "\n".join(part for part in parts if part)
    head = f"head: {_head(course)}, {_solving(course)}"
    if not course.fine_tunes:
        return f"{table}\n{head}; the backbone stays frozen"
    size = optimizers.batch_size(options, len(course.data.split("train")))
    frozen = len(course.selection.frozen_batch_norms)
    return "\n".join(
        [
            table,
            head,
            "fine_tune: at most "
            f"{statistics.counted(options.epochs, 'epoch')}, "
            f"{statistics.counted(size, 'picture')} a step{_fits(course)}, "
            f"from a {_HEADS[options.head_init]} head",
            f"optimizer: {options.optimizer}, learning rate {_rate(course)}, "
            f"{options.schedule}, warm-up over {options.warmup_fraction:.0%} "
            "of the steps",
            f"batch norm: {statistics.counted(frozen, 'layer')} kept as "
            "pretrained (--freeze_batch_norm)",
            f"loss: {' + '.join(course.task.losses_of(options.loss))} "
            f"(--loss={options.loss}); augmentation: {options.augmentation}",
            f"cache: {course.config.output.cache} (--cache); {_cut(course)}",
        ]
    )


def _changes(course: courses.Course) -> list[change.Change]:
    """Lists the changes of surgery, the layers of a longer head included."""
    # --head_layers is no surgery of the backbone, but shown in its table.
    layers = course.config.model.surgery.head_layers
    if not layers:
        return [*course.built.changes]
    head = course.built.head
    return [
        *course.built.changes,
        change.Change(
            flag="--head_layers",
            layers=change.listed(course.built.head_layers),
            before="one dense layer",
            after=f"{', '.join(layers)}, then the dense layer",
            new=head.count_params(),
        ),
    ]


def _head(course: courses.Course) -> str:
    options = course.config.model
    head = course.task.head(options.head)
    return ", ".join([head, *options.surgery.head_layers])


def _solving(course: courses.Course) -> str:
    """Describes how the head is trained before fine-tuning."""
    options = course.config.training
    # Pooled features have one axis; a decoder reads maps of three.
    if any(len(shape) > 1 for shape in course.built.features.shapes):
        steps = decoder.num_steps(options, len(course.data.split("train")))
        return (
            f"trained for {statistics.counted(steps, 'step')} on feature maps "
            "cached once (--head_epochs)"
        )
    return "solved on features cached once"


def warn_of_single_pictures(course: courses.Course) -> None:
    """Warns if batch norm would learn its statistics from single pictures."""
    training = course.config.training
    size = optimizers.batch_size(training, len(course.data.split("train")))
    # A replica's own part of the batch.
    pictures = size // course.strategy.num_replicas_in_sync
    moving = [
        layer
        for layer in course.built.backbone.model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
        and layer.name in course.selection.layer_names
    ]
    if course.fine_tunes and moving and pictures <= 1:
        logging.warning(
            "Batch norm learns its mean and variance from single pictures: "
            "--batch_size=%d with --freeze_batch_norm=false, in %s. Use a "
            "--batch_size of 8 or more, or leave out "
            "--freeze_batch_norm=false.",
            size,
            statistics.counted(len(moving), "layer"),
        )


def _fits(course: courses.Course) -> str:
    if course.largest_batch is None:
        return ""
    return f" (--batch_size=auto; {course.largest_batch} fit into memory)"


def _rate(course: courses.Course) -> str:
    options, asked = course.config.training, course.asked.training
    rate = optimizers.learning_rate(options)
    # The rate's origin: the user, the optimizer's default, or that default
    # scaled to the batch size that was found.
    if asked.learning_rate is not None:
        origin = "given"
    elif course.largest_batch is None:
        origin = f"the default of {options.optimizer}"
    else:
        usual = optimizers.learning_rate(asked)
        origin = (
            f"the default of {options.optimizer}, {usual:g} for "
            f"{optimizers.USUAL_BATCH_SIZE} pictures, "
            f"{optimizers.scaling_rule(options)}"
        )
    return f"{rate:g} ({origin}; --learning_rate)"


def _cut(course: courses.Course) -> str:
    """Describes the part of the network that can be cached."""
    found = course.networks.cut
    if found is None:
        return "no part of the network can be cached"
    return (
        f"{found.frozen_share:.0%} of the forward pass is frozen and can be "
        f"cached (freeze boundary at {', '.join(found.names)})"
    )
