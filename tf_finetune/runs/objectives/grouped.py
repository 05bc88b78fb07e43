"""Fine-tunes on groups: a labeled picture with unlabeled ones beside it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tf_finetune.config import options
from tf_finetune.data import groups as group_data
from tf_finetune.data import pipeline
from tf_finetune.data import targets as target_rows
from tf_finetune.runs import course as courses
from tf_finetune.runs import learning
from tf_finetune.runs.objectives import objective
from tf_finetune.training import fine_tuning, history, optimizers
from tf_finetune.training.distributed import replicas
from tf_finetune.training.unlabelled import groups


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """A network to be trained, its groups and its loss.

    Attributes:
        network: Pictures → logits, and other outputs that the loss reads.
        form: How targets and logits lie in rows.
        dealt: The groups.
        loss: Of groups.
        pictures: Number in a group, all views counted.
    """

    network: keras.Model
    form: groups.Form
    dealt: group_data.Groups
    loss: keras.losses.Loss
    pictures: int


def dealt(
    given: objective.Given, views: group_data.Views, **known: Any
) -> group_data.Groups:
    """Divides labeled and unlabeled pictures into groups.

    Args:
        given: The run and the unlabeled pictures.
        views: How these are augmented.
        **known: `known` of `data.groups.Groups`, if there is anything.
    """
    course = given.course
    return group_data.Groups(
        labelled=[picture.path for picture in course.data.split("train")],
        targets=course.targets("train"),
        unlabeled=[picture.path for picture in given.pool.pictures],
        beside=course.config.unlabelled.unlabeled_ratio,
        views=views,
        augmentation=course.config.training.augmentation,
        image_size=course.image_size,
        resize=course.config.model.resize,
        pixels=course.config.model.pixels,
        seed=course.config.seed,
        **known,
    )


def form(course: courses.Course, targets: target_rows.Targets) -> groups.Form:
    """Returns the shapes of targets and logits that are packed into rows."""
    # Without the batch axis; an index and a mask have different shapes.
    spec = target_rows.in_order(targets, 1).element_spec
    return groups.Form(
        target=tuple(spec.shape[1:]),
        logits=tuple(course.built.trainer.output_shape[1:]),
        dtype=spec.dtype.name,
    )


def learn(given: objective.Given, training: Training) -> objective.Outcome:
    """Trains from the weights of the supervised result."""
    course = given.course
    course.built.model.set_weights(list(given.supervised.weights))
    table = _fine_tune(_resized(course, training.pictures), training)
    found = course.predict("validation")
    tuned = learning.Candidate(
        name="fine_tune",
        weights=course.built.model.get_weights(),
        judged={"validation": course.judge("validation", found)},
    )
    return objective.Outcome(
        candidate=tuned,
        table=table,
        facts={"groups": len(training.dealt)},
        text=(
            f"{len(table)} epochs of {len(training.dealt)} labeled pictures, "
            f"each with {training.dealt.beside} of "
            f"{len(given.pool.pictures)} unlabeled ones"
        ),
    )


def feed(course: courses.Course, dealt: group_data.Groups) -> fine_tuning.Feed:
    """Returns the groups in batches, and the validation split."""
    options = course.config.training
    size = optimizers.batch_size(options, len(dealt))
    images = pipeline.evaluation_images(
        [picture.path for picture in course.data.split("validation")],
        image_size=course.image_size,
        resize=course.config.model.resize,
        pixels=course.config.model.pixels,
        batch_size=options.batch_size,
    )
    # Validation pictures come alone, as in the supervised run.
    expected = target_rows.in_order(
        course.targets("validation"), options.batch_size
    )
    return fine_tuning.Feed(
        num_examples=len(dealt),
        batches=lambda first_epoch, first_step: group_data.batches(
            dealt,
            batch_size=size,
            first_epoch=first_epoch,
            first_step=first_step,
            epochs=options.epochs,
            part=replicas.part_of(course.strategy),
        ),
        validation=group_data.alone(images, expected),
        names=lambda epoch, step: dealt.names(epoch, step, size),
    )


def _resized(course: courses.Course, pictures: int) -> courses.Course:
    """Returns the run with a batch size in groups instead of pictures."""
    # So that a step needs about as much memory as --batch_size allows.
    groups_a_step = max(course.config.training.batch_size // pictures, 1)
    config = options.replace(course.config, batch_size=groups_a_step)
    return dataclasses.replace(course, config=config)


def _fine_tune(
    course: courses.Course, training: Training
) -> Sequence[Mapping[str, Any]]:
    with course.strategy.scope():
        metrics = course.task.network.metrics(course.data.class_names)
        trainer = fine_tuning.compiled(
            groups.trainer(training.network),
            course.built,
            course.selection,
            course.config,
            loss=training.loss,
            # Metrics of training see the labeled picture of a group alone.
            metrics=[groups.OfLabelled(e, training.form) for e in metrics],
            num_examples=len(training.dealt),
            settings=course.settings,
        )
    with course.strategy.scope(), courses.in_precision(course):
        outcome = fine_tuning.run(
            trainer,
            feed(course, training.dealt),
            task=course.task,
            config=course.config,
            place=course.shared,
            writes=course.is_chief,
            report=lambda rows: None,
        )
    return history.rows("fine_tune", outcome.rows)
