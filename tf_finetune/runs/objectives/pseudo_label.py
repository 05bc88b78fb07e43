"""Pseudo-labels: unlabeled pictures are trained on as their likeliest class.

Both stages run again, on the labeled pictures and on those with a pseudo-label.

Source: Lee 2013, "Pseudo-Label"; Iscen et al. 2019, "Label Propagation for
Deep Semi-supervised Learning", section 4.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from absl import logging

from tf_finetune.data import examples
from tf_finetune.model import assembly, inference
from tf_finetune.runs import candidates, split_evaluation, train
from tf_finetune.runs.objectives import objective_protocol
from tf_finetune.semi_supervised import (
    pseudo_labels,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoolLabels:
    """Pseudo-labels of unlabeled pictures and their measured precision.

    Attributes:
        labels: One for each unlabeled picture; None where it is not confident
            enough.
        precision: Counts of right pseudo-labels among labeled pictures.
        where: Name of these labeled pictures, such as "validation pictures".
    """

    labels: Sequence[examples.Label | None]
    precision: pseudo_labels.PseudoLabelPrecision
    where: str


def learn(
    given: objective_protocol.ObjectiveInputs,
) -> objective_protocol.ObjectiveResult | None:
    """Solves the head and fine-tunes, on pseudo-labeled pictures, too.

    Args:
        given: The run, its unlabeled pictures and the supervised candidate.

    Returns:
        The better of solved head and fine-tuned model on validation; None, with
        a warning, where no pseudo-label is confident enough.
    """
    context, pool = given.context, given.pool.pictures
    found = assign_labels(given)
    learned_from = tuple(
        dataclasses.replace(picture, label=label, split="train")
        for picture, label in zip(pool, found.labels, strict=True)
        if label is not None
    )
    if not learned_from:
        logging.warning("no unlabeled picture has a confident pseudo-label")
        return None
    # As training pictures like others; no other split has any of them.
    data = dataclasses.replace(
        context.data, pictures=(*context.data.pictures, *learned_from)
    )
    changed = dataclasses.replace(context, data=data)
    learned = train.run_stages(changed)
    return objective_protocol.ObjectiveResult(
        # The probe on all labels may be the better one here, too.
        candidate=candidates.select_candidate(changed, learned),
        table=learned.table,
        facts={
            "learned": len(learned_from),
            "precision": found.precision.precision,
            "precision_of": {
                "measured_on": found.where,
                **dataclasses.asdict(found.precision),
            },
        },
        text=_format_result(len(learned_from), len(pool), found),
    )


def _format_result(count: int, of: int, found: PoolLabels) -> str:
    text = f"{count} of {of} unlabeled pictures were used"
    if found.precision.precision is None:
        return f"{text}; too few labeled ones to measure the precision"
    return (
        f"{text}; on {found.where}, {found.precision.right} of "
        f"{found.precision.guessed} pseudo-labels are right (precision "
        f"{found.precision.precision:.3f})"
    )


def assign_labels(given: objective_protocol.ObjectiveInputs) -> PoolLabels:
    """Predicts labels of the unlabeled pictures, by the task's own method.

    Labels are propagated over cached features, or are the most confident
    predictions of the supervised candidate. The model keeps its weights.

    Args:
        given: The run, its unlabeled pictures and the supervised candidate.
    """
    return _METHODS[given.context.task.pseudo_labels.by](given)


def _propagate_labels(given: objective_protocol.ObjectiveInputs) -> PoolLabels:
    """Propagates labels over cached features.

    Source: Iscen et al. 2019, "Label Propagation for Deep Semi-supervised
    Learning", section 4.
    """
    context, guesses = given.context, given.context.task.pseudo_labels
    train, names = context.data.split("train"), context.data.class_names
    everything = (*train, *given.pool.pictures)
    store = context.cache.features
    features = store.rows([each.sha256 for each in everything]).all()
    joints, known = (
        pseudo_labels.build_neighbor_graph(features),
        np.arange(len(train)),
    )
    rows = guesses.rows([each.label for each in train], names)

    def found(mine: np.ndarray) -> Sequence[examples.Label | None]:
        """Returns pseudo-labels of all but `mine`, in their order."""
        scores = pseudo_labels.propagate_labels(
            joints, mine, rows[mine], exclusive=guesses.exclusive
        )
        # The most confident share of each class is given a label.
        share = context.config.unlabeled.pseudo_label_share
        return guesses.labels(scores, rows[mine], names, share=share)

    def labeled_values(mine: np.ndarray, asked: np.ndarray) -> Sequence[object]:
        # Labeled pictures come before the pool in `everything`.
        return found(mine)[: len(asked)]

    return PoolLabels(
        labels=found(known),
        precision=pseudo_labels.cross_validate(
            rows,
            labeled_values,
            groups=[each.group or each.sha256 for each in train],
            compare=lambda label, row: guesses.count_correct(label, row, names),
            seed=context.config.seed,
        ),
        where="training pictures, left out in turn",
    )


def _predict_labels(given: objective_protocol.ObjectiveInputs) -> PoolLabels:
    """Takes the most confident predictions of the supervised model."""
    # Both stages start from the pretrained weights again.
    with assembly.keep_values(given.context.assembly.model.weights):
        candidates.assign_candidate(given.context, given.supervised)
        return _predict_with_model(given)


def _predict_with_model(
    given: objective_protocol.ObjectiveInputs,
) -> PoolLabels:
    context, guesses = given.context, given.context.task.pseudo_labels
    resize = context.config.model.resize
    # Predicted twice, since those of a whole pool need not fit into memory.
    pool, held_out = given.pool.pictures, context.data.split("validation")
    share = context.config.unlabeled.pseudo_label_share
    thresholds = guesses.find_thresholds(
        _stream_predictions(given, pool), share
    )
    labels = [
        guesses.label(
            each,
            thresholds,
            picture,
            context.data.class_names,
            folder=context.place.checkpoints / "pseudo_labels",
            resize=resize,
        )
        for picture, each in _pair_predictions(given, pool)
    ]
    compared = [
        guesses.count_correct(each, thresholds, picture, resize=resize)
        for picture, each in _pair_predictions(given, held_out)
    ]
    return PoolLabels(
        labels=labels,
        precision=pseudo_labels.PseudoLabelPrecision(
            right=sum(right for right, _ in compared),
            guessed=sum(count for _, count in compared),
            sure=sum(count > 0 for _, count in compared),
            held_out=len(compared),
        ),
        where="validation pictures",
    )


_METHODS = {"features": _propagate_labels, "predictions": _predict_labels}


def _pair_predictions(
    given: objective_protocol.ObjectiveInputs,
    pictures: Sequence[examples.Picture],
) -> Iterator[tuple[examples.Picture, np.ndarray]]:
    rows = (
        row for batch in _stream_predictions(given, pictures) for row in batch
    )
    return zip(pictures, rows, strict=True)


def _stream_predictions(
    given: objective_protocol.ObjectiveInputs,
    pictures: Sequence[examples.Picture],
) -> Iterator[np.ndarray]:
    context = given.context
    images = split_evaluation.load_images(
        pictures, context.config, image_size=context.image_size
    )
    return inference.stream_predictions(context.networks.predictions, images)
