"""Evaluation of a run's model on splits: from pictures or cached logits."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_finetune.config import train_config
from tf_finetune.data import examples, pipeline, progress
from tf_finetune.evaluation import evaluate_split
from tf_finetune.model import inference
from tf_finetune.runs import cache_check, parity_record
from tf_finetune.runs import context as contexts

Evaluations = Mapping[str, evaluate_split.SplitEvaluation]
"""By split, its evaluation."""


def load_images(
    pictures: Sequence[examples.Picture],
    config: train_config.TrainConfig,
    *,
    image_size: int,
) -> tf.data.Dataset:
    """Decodes pictures without augmentation, in batches in their order.

    Args:
        pictures: Of any split, or of none.
        config: How they are decoded, and the batch size.
        image_size: Side of the model's input, pixels.
    """
    return pipeline.build_evaluation_images(
        [picture.path for picture in pictures],
        image_size=image_size,
        resize=config.model.resize,
        pixels=config.model.pixels,
        batch_size=config.training.batch_size,
    )


def evaluate_model(
    context: contexts.RunContext,
    split: str,
    decision: Mapping[str, Any] | None = None,
) -> evaluate_split.SplitEvaluation:
    """Evaluates the model, with its present weights, on pictures.

    Args:
        context: The run.
        split: Which of its pictures.
        decision: As of `evaluate_predictions`.
    """
    config, pictures = context.config, context.data.split(split)
    images = progress.track(
        load_images(pictures, config, image_size=context.image_size),
        total=-(-len(pictures) // config.training.batch_size),  # Rounded up.
        title=f"Evaluating {split}",
        unit="batches",
        is_brief=True,
    )
    # Traced once a run; weights may change between calls.
    predictions = inference.stream_predictions(
        context.networks.predictions, images
    )
    return evaluate_predictions(context, split, predictions, decision)


def evaluate_predictions(
    context: contexts.RunContext,
    split: str,
    predictions: Iterable[np.ndarray],
    decision: Mapping[str, Any] | None = None,
) -> evaluate_split.SplitEvaluation:
    """Compares predictions with the labels of a split.

    Args:
        context: The run.
        split: Which of its pictures.
        predictions: Of all of them in their order, in batches.
        decision: Of the validation split, such as thresholds; None: it is
            made on these predictions.

    Returns:
        Figures; for splits other than training also a row a picture, and for
        the last split the predictions that exports are checked on.
    """
    task, data, keep = context.task, context.data, ()
    if split == data.splits[-1]:
        keep = parity_record.choose_indices(
            data, task.network.max_parity_pictures
        )
    return evaluate_split.evaluate_predictions(
        task,
        data,
        split,
        predictions,
        seed=context.config.seed,
        decision=decision,
        # predictions.csv lists validation and test pictures only.
        with_rows=split != "train",
        keep=keep,
    )


def evaluate_logits(
    context: contexts.RunContext,
    splits: Iterable[str],
    logits_of: Callable[[str], Iterator[np.ndarray]],
) -> Evaluations:
    """Evaluates splits from cached rows, validation first.

    On its first pictures the whole model is compared with the cached path;
    and the task's decision on it, such as thresholds, holds for the others.

    Args:
        context: The run.
        splits: Those that rows are cached of, validation among them.
        logits_of: Split → its logits in batches.
    """
    finish = context.task.network.finish
    logits = _check_first(context, logits_of("validation"))
    validation = evaluate_predictions(
        context, "validation", map(finish, logits)
    )
    others = {
        split: evaluate_predictions(
            context, split, map(finish, logits_of(split)), validation.decision
        )
        for split in splits
        if split != "validation"
    }
    return {"validation": validation, **others}


def _check_first(
    context: contexts.RunContext, logits: Iterator[np.ndarray]
) -> Iterator[np.ndarray]:
    """Yields the logits; compares the first batch with the whole model."""
    first = next(logits)
    cache_check.check_logits(
        context.assembly.trainer,
        context.data.split("validation"),
        context.config,
        first,
    )
    yield first
    yield from logits
