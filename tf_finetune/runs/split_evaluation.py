"""Evaluation of a run's model on splits: from pictures or cached logits.

On the cached path it is compared with the whole model, on real pictures.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import errors
from tf_finetune.config import train_config
from tf_finetune.data import examples, pipeline, progress
from tf_finetune.data.images import decoding
from tf_finetune.evaluation import evaluate_split
from tf_finetune.model import inference
from tf_finetune.runs import context as contexts
from tf_finetune.runs import parity_record

_COMPARED_PICTURES = 4
# Above this difference of a logit, relative to the largest one, the cache and
# the model disagree; float32 sums in another order (another batch size) stay
# two orders of magnitude below it.
_TOLERANCE = 1e-3

Evaluations = Mapping[str, evaluate_split.SplitEvaluation]
"""By split, its evaluation."""


def load_images(
    pictures: Sequence[examples.Picture],
    config: train_config.TrainConfig,
    *,
    image_size: int,
) -> tf.data.Dataset:
    """Builds a dataset of decoded pictures without augmentation.

    Args:
        pictures: Pictures, labeled or not.
        config: Resizing, decoding and batch size.
        image_size: Side of the model's input, pixels.

    Returns:
        Batches [batch, size, size, 3], RGB 0..255, in the order of `pictures`;
        the last one may be smaller.
    """
    return pipeline.build_evaluation_images(
        [picture.path for picture in pictures],
        config.model.make_square(image_size),
        batch_size=config.training.batch_size,
    )


def evaluate_model(
    context: contexts.RunContext,
    split: str,
    decision: Mapping[str, Any] | None = None,
) -> evaluate_split.SplitEvaluation:
    """Evaluates the model of a run, with its present weights, on pictures.

    Args:
        context: The run.
        split: "train", "validation" or "test".
        decision: Values chosen on validation, such as thresholds; None: they
            are chosen on the predictions of this split.

    Returns:
        Metrics; for splits other than training also an answer for each picture.
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
    return compare_with_labels(context, split, predictions, decision)


def compare_with_labels(
    context: contexts.RunContext,
    split: str,
    predictions: Iterable[np.ndarray],
    decision: Mapping[str, Any] | None = None,
) -> evaluate_split.SplitEvaluation:
    """Compares predictions with the labels of a split.

    Args:
        context: The run.
        split: "train", "validation" or "test".
        predictions: Batches [batch, …] after the output activation, of all
            pictures of the split in their order.
        decision: Values chosen on validation, such as thresholds; None: they
            are chosen on these predictions.

    Returns:
        Metrics; for splits other than training also an answer for each picture,
        and for the last split the predictions that exports are checked on.
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
    """Evaluates splits from logits computed on cached rows, validation first.

    The logits of the first validation pictures are compared with those of the
    whole model on the picture files; thresholds and the like that are chosen on
    validation are used on the other splits.

    Args:
        context: The run.
        splits: Names of the splits that have cached rows, validation among
            them.
        logits_of: Maps a split name to its logits, [batch, …] each.

    Returns:
        Evaluations by split name.

    Raises:
        RunError: The cached path and the whole model give different logits.
    """
    finish = context.task.network.finish
    logits = _check_first(context, logits_of("validation"))
    validation = compare_with_labels(context, "validation", map(finish, logits))
    others = {
        split: compare_with_labels(
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
    check_logits(
        context.assembly.trainer,
        context.data.split("validation"),
        context.config,
        first,
    )
    yield first
    yield from logits


def check_logits(
    trainer: keras.Model,
    pictures: Sequence[examples.Picture],
    config: train_config.TrainConfig,
    logits: np.ndarray,
) -> None:
    """Compares logits from the cache with those of the whole model.

    Args:
        trainer: Model from pictures to logits.
        pictures: Pictures of `logits`; the first four are decoded.
        config: Preprocessing and cache directory.
        logits: [n, …], from the cache, in the order of `pictures`.

    Raises:
        RunError: They differ by more than rounding; the message blames the
            cache where the model agrees with itself, else the weights.
    """
    count = min(_COMPARED_PICTURES, len(logits))
    size = trainer.inputs[0].shape[1]
    images = _load_first(pictures[:count], config, image_size=size)
    # Not compiled: what is compiled computes in another way than Keras.
    whole = np.asarray(trainer(images, training=False))
    difference = measure_difference(whole, logits[:count])
    logging.debug(
        "cache check: logits recomputed from %d pictures agree to %.1e "
        "(relative)",
        count,
        difference,
    )
    # So written that NaN is an error, too.
    if not difference <= _TOLERANCE:
        raise errors.RunError(
            explain_difference(
                trainer,
                images,
                whole,
                difference,
                cache_dir=config.output.cache_folder,
            )
        )


def _load_first(
    pictures: Sequence[examples.Picture],
    config: train_config.TrainConfig,
    *,
    image_size: int,
) -> tf.Tensor:
    square = config.model.make_square(image_size)
    # The scan's device; another one takes a third of a second to get ready.
    with tf.device("CPU"):
        return tf.stack(
            [
                decoding.load_file(os.fsencode(picture.path), square)
                for picture in pictures
            ]
        )


def measure_difference(whole: np.ndarray, other: np.ndarray) -> float:
    """Computes max |whole - other| / max |other| of arrays of one shape."""
    largest = max(np.max(np.abs(other)), np.finfo("float32").tiny)
    return float(np.max(np.abs(whole - other)) / largest)


def explain_difference(
    trainer: keras.Model,
    images: tf.Tensor,
    whole: np.ndarray,
    difference: float,
    *,
    cache_dir: os.PathLike[str] | str,
) -> str:
    """Explains why logits differ: the cache is wrong, or the network is.

    Args:
        trainer: Model from pictures to logits.
        images: [batch, size, size, 3] RGB 0..255.
        whole: Logits of `images` by a call of `trainer` that is not compiled.
        difference: Relative difference between these and the cached logits.
        cache_dir: Cache directory, named in the text.

    Returns:
        Text for the user, with the command or the flags that help.
    """
    fresh = np.asarray(
        inference.apply_step(inference.compile_step(trainer), images)
    )
    # Without the cache, but compiled as the cached path is.
    again = measure_difference(whole, fresh)
    if again <= _TOLERANCE:
        return (
            "The cached features are not those of this model: logits differ "
            f"by {difference:.1e} of the largest, and by {again:.1e} when "
            "nothing comes from the cache. Run `python -m tf_finetune.cache "
            f"--cache_dir={cache_dir} --clear=all` and repeat the command."
        )
    return (
        "The network does not agree with itself: compiled and not compiled, "
        f"its logits of the same pictures differ by {again:.1e} of the "
        f"largest ({_TOLERANCE:.0e} is allowed), without any cache. It "
        "magnifies the rounding of float32, as networks do whose kernels and "
        "batch norms were not trained together. The weights are probably not "
        "those of this network; check --weights and --backbone."
    )
