"""Pseudo-labels of unlabeled pictures, and their measured precision."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from tf_finetune import inference
from tf_finetune.data import examples, pipeline
from tf_finetune.runs.objectives import objective
from tf_finetune.training.unlabelled import propagation, trust


@dataclasses.dataclass(frozen=True, kw_only=True)
class Guessed:
    """Pseudo-labels of pictures and their precision.

    Attributes:
        labels: One for each picture of the pool; None: not sure enough.
        trust: How often such labels are right.
        where: The pictures that this was measured on, in words.
    """

    labels: Sequence[examples.Label | None]
    trust: trust.Trust
    where: str


def guess(given: objective.Given) -> Guessed:
    """Guesses labels by features or by predictions, as the task does."""
    return _WAYS[given.course.task.guesses.by](given)


def _by_features(given: objective.Given) -> Guessed:
    """Propagates labels over cached features.

    Source: Iscen et al. 2019, "Label Propagation for Deep Semi-supervised
    Learning", section 4.
    """
    course, guesses = given.course, given.course.task.guesses
    train, names = course.data.split("train"), course.data.class_names
    everything = (*train, *given.pool.pictures)
    store = course.cache.features
    features = store.rows([each.sha256 for each in everything]).all()
    joints, known = propagation.graph(features), np.arange(len(train))
    rows = guesses.rows([each.label for each in train], names)

    def found(mine: np.ndarray) -> Sequence[examples.Label | None]:
        """Returns pseudo-labels of all but `mine`, in their order."""
        scores = propagation.propagate(
            joints, mine, rows[mine], exclusive=guesses.exclusive
        )
        # The most confident share of each class is given a label.
        share = course.config.unlabelled.pseudo_label_share
        return guesses.labels(scores, rows[mine], names, share=share)

    def of_labelled(mine: np.ndarray, asked: np.ndarray) -> Sequence[object]:
        # Labeled pictures come before the pool in `everything`.
        return found(mine)[: len(asked)]

    return Guessed(
        labels=found(known),
        trust=trust.cross_validated(
            rows,
            of_labelled,
            groups=[each.group or each.sha256 for each in train],
            compare=lambda label, row: guesses.compare(label, row, names),
            seed=course.config.seed,
        ),
        where="training pictures, left out in turn",
    )


def _by_predictions(given: objective.Given) -> Guessed:
    """Takes the most confident predictions of the supervised model."""
    course, guesses = given.course, given.course.task.guesses
    resize = course.config.model.resize
    pretrained = course.built.model.get_weights()
    course.built.model.set_weights(list(given.supervised.weights))
    # Predicted twice, since masks of a whole pool need not fit into memory.
    pool, held_out = given.pool.pictures, course.data.split("validation")
    share = course.config.unlabelled.pseudo_label_share
    thresholds = guesses.thresholds(_predictions(given, pool), share)
    labels = [
        guesses.label(
            each,
            thresholds,
            picture,
            course.data.class_names,
            folder=course.place.checkpoints / "masks",
            resize=resize,
        )
        for picture, each in _each(given, pool)
    ]
    compared = [
        guesses.compare(each, thresholds, picture, resize=resize)
        for picture, each in _each(given, held_out)
    ]
    # Both stages start from the pretrained weights again.
    course.built.model.set_weights(pretrained)
    return Guessed(
        labels=labels,
        trust=trust.Trust(
            right=sum(right for right, _ in compared),
            guessed=sum(count for _, count in compared),
            sure=sum(count > 0 for _, count in compared),
            held_out=len(compared),
        ),
        where="validation pictures",
    )


_WAYS = {"features": _by_features, "predictions": _by_predictions}


def _each(
    given: objective.Given, pictures: Sequence[examples.Picture]
) -> Iterator[tuple[examples.Picture, np.ndarray]]:
    rows = (row for batch in _predictions(given, pictures) for row in batch)
    return zip(pictures, rows, strict=True)


def _predictions(
    given: objective.Given, pictures: Sequence[examples.Picture]
) -> Iterator[np.ndarray]:
    course = given.course
    images = pipeline.evaluation_images(
        [picture.path for picture in pictures],
        image_size=course.image_size,
        resize=course.config.model.resize,
        pixels=course.config.model.pixels,
        batch_size=course.config.training.batch_size,
    )
    return inference.stream(course.networks.predictions, images)
