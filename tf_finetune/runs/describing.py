"""The plan of a run in words: what moves, and the settings with reasons."""

from tf_finetune.adaptation import plan
from tf_finetune.backbones.surgery import change
from tf_finetune.runs import course as courses
from tf_finetune.training import optimizers
from tf_finetune.training.unlabelled import catalog

_HEADS = {"probe": "solved", "random": "random"}


def text(course: courses.Course) -> str:
    """Returns what will be done: what moves, and the settings with reasons."""
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
    head = f"head: {_head(course)}, solved on features cached once"
    if not course.fine_tunes:
        return f"{table}\n{head}; the backbone stays as it is"
    size = optimizers.batch_size(options, len(course.data.split("train")))
    frozen = len(course.selection.frozen_batch_norms)
    return "\n".join(
        [
            table,
            head,
            f"fine_tune: at most {options.epochs} epochs, {size} pictures a "
            f"step{_fits(course)}, from a {_HEADS[options.head_init]} head",
            f"optimizer: {options.optimizer}, learning rate {_rate(course)}, "
            f"{options.schedule}, warm-up over {options.warmup_fraction:.0%} "
            "of the steps",
            f"batch norm: {frozen} layers kept as pretrained "
            "(--freeze_batch_norm)",
            f"loss: {options.loss}; augmentation: {options.augmentation}",
            f"cache: {course.config.output.cache} (--cache); {_cut(course)}",
        ]
    )


def _changes(course: courses.Course) -> list[change.Change]:
    """Returns what surgery did, the layers of a longer head included."""
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


def _fits(course: courses.Course) -> str:
    if course.largest_batch is None:
        return ""
    return f" (--batch_size=auto; {course.largest_batch} fit into memory)"


def _rate(course: courses.Course) -> str:
    options, asked = course.config.training, course.asked.training
    rate = optimizers.learning_rate(options)
    if asked.learning_rate is not None:
        origin = "given"
    elif course.largest_batch is None:
        origin = f"{options.optimizer}'s here"
    else:
        usual = optimizers.learning_rate(asked)
        origin = (
            f"{options.optimizer}'s here, {usual:g} for "
            f"{optimizers.USUAL_BATCH_SIZE} pictures, "
            f"{optimizers.scaling_rule(options)}"
        )
    return f"{rate:g} ({origin}; --learning_rate)"


def _cut(course: courses.Course) -> str:
    """Returns in words what could be computed once."""
    found = course.networks.cut
    if found is None:
        return "nothing of the network can be computed once"
    return (
        f"{found.frozen_share:.0%} of the forward pass lie below the first "
        f"layer that trains (cut at {', '.join(found.names)})"
    )
