"""tf.data pipelines: picture files as batches of pixels, in a fixed order."""

import functools
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tf_finetune.config import picture_options, training_options
from tf_finetune.data import epoch_order
from tf_finetune.data import split_targets as target_rows
from tf_finetune.data.augment import augmentation as augmentations
from tf_finetune.data.images import decoding

# Streams of random numbers of one seed that must not repeat each other: 0 is
# that of the order of an epoch, 2 to 5 those of groups with unlabeled
# pictures.
_AUGMENTATION_STREAM = 1


def build_evaluation_images(
    paths: Sequence[str], square: picture_options.Square, *, batch_size: int
) -> tf.data.Dataset:
    """Loads pictures in the order of their paths, each exactly once.

    Args:
        paths: Picture files.
        square: What a picture is decoded into.
        batch_size: Pictures per batch; the last batch may hold fewer.

    Returns:
        Dataset of float32 [batch, size, size, 3], 0..255.
    """
    return (
        tf.data.Dataset.from_tensor_slices(_encode_paths(paths))
        # Without batching first: pictures of one batch are decoded in parallel.
        .map(
            functools.partial(decoding.load_file, square=square),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )


def build_augmented_images(
    paths: Sequence[str],
    seeds: np.ndarray,
    square: picture_options.Square,
    *,
    batch_size: int,
    level: training_options.Augmentation,
) -> tf.data.Dataset:
    """Loads augmented pictures in the order of their paths, each once.

    Args:
        paths: Picture files.
        seeds: int32 [len(paths), 2]; each picture's augmentation depends on its
            own seed alone, not on its neighbors.
        square: What a picture is decoded into.
        batch_size: Pictures per batch; the last batch may hold fewer.
        level: Strength of the augmentation, "light" or "medium": neither "none"
            nor one that mixes pictures ("strong").

    Returns:
        Dataset of float32 [batch, size, size, 3], 0..255.
    """
    change = augmentations.build_augmentation(level)

    def augment(path: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        image = decoding.load_file(path, square)
        # A batch of one: nothing may depend on its neighbors. The target is a
        # placeholder.
        images, _ = change(image[tf.newaxis], tf.zeros((1, 1)), seed)
        return tf.ensure_shape(images[0], (square.size, square.size, 3))

    seeds = np.asarray(seeds, "int32")
    return (
        tf.data.Dataset.from_tensor_slices((_encode_paths(paths), seeds))
        .map(augment, tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )


def build_training_batches(
    paths: Sequence[str],
    targets: target_rows.Targets,
    order: epoch_order.BatchOrder,
    square: picture_options.Square,
    *,
    augmentation: training_options.Augmentation,
) -> tf.data.Dataset:
    """Builds the training batches of some epochs.

    Order and augmentation of a batch depend on the seed, its epoch and its step
    alone, so that a resumed run sees the batches it would have seen.

    Args:
        paths: Picture files.
        targets: Targets of the pictures; path i has the target i %
            len(targets).
        order: Order and extent of the batches. Random changes of a share of
            replicas differ from those of the same pictures in the whole batch.
        square: What a picture is decoded into.
        augmentation: Strength of the augmentation; "none" leaves it out.

    Returns:
        Dataset of (images float32 [batch, size, size, 3] of 0..255,
        targets [batch, …]). If `order.part` is not all replicas, the size of
        the whole batch follows, an int64 scalar.
    """
    with tf.device("CPU"):
        files = tf.constant(_encode_paths(paths))

    def make_target(place: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        # Modulo: several paths may share a target.
        number = place[tf.newaxis] % len(targets)
        return targets.batch(number, tf.zeros_like(number))[0]

    return load_in_order(
        order,
        len(paths),
        image_size=square.size,
        load=lambda place, _: decoding.load_file(files[place], square),
        make_target=make_target,
        change=augmentations.build_augmentation(augmentation, targets.moves_as),
    )


def load_in_order(
    order: epoch_order.BatchOrder,
    count: int,
    *,
    image_size: int,
    load: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    make_target: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    change: augmentations.AugmentFunction | None = None,
) -> tf.data.Dataset:
    """Loads the pictures of training batches in parallel, in a given order.

    Args:
        order: Order and extent of the batches.
        count: Number of pictures.
        image_size: Side of the square in pixels.
        load: Maps number of a picture and epoch to its pixels, float32
            [image_size, image_size, 3], 0..255.
        make_target: Maps the same to the picture's target.
        change: Augmentation of a whole batch; None: there is none.

    Returns:
        Dataset as of `build_training_batches`.
    """
    steps, total = order.count_steps(count), order.count_batches(count)

    def load_place(place: tf.Tensor, number: tf.Tensor) -> tuple:
        is_real, epoch = place >= 0, number // steps
        # Padding is a black image with the first target.
        place = tf.maximum(place, 0)
        image = tf.cond(
            is_real,
            lambda: load(place, epoch),
            lambda: tf.zeros((image_size, image_size, 3)),
        )
        return image, make_target(place, epoch), is_real, number

    return (
        order.build_examples(count)
        # Before batching, so that pictures of a batch are decoded in parallel,
        # and those of the next epoch while this one ends.
        .map(load_place, tf.data.AUTOTUNE, deterministic=True)
        .batch(order.part.max_size(order.batch_size), drop_remainder=True)
        .map(
            functools.partial(_finish_batch, order, count, change),
            tf.data.AUTOTUNE,
            deterministic=True,
        )
        # After flat_map tf.data no longer knows the number of batches, which
        # `fit` wants for its progress bar and the end of an epoch.
        .apply(tf.data.experimental.assert_cardinality(total))
        .prefetch(tf.data.AUTOTUNE)
    )


def _finish_batch(
    order: epoch_order.BatchOrder,
    count: int,
    change: augmentations.AugmentFunction | None,
    images: tf.Tensor,
    targets: tf.Tensor,
    is_real: tf.Tensor,
    numbers: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    """Cuts padding off a batch, augments it and appends its whole size."""
    # Padding stands at the end; it is cut off before pictures are mixed.
    real, number = tf.math.count_nonzero(is_real), numbers[0]
    batch = images[:real], targets[:real]
    if change is not None:
        steps, part = order.count_steps(count), order.part
        drawn = (number // steps, number % steps)
        if not part.is_all:
            drawn = (*drawn, part.first)
        seed = epoch_order.fold_seed(order.seed, _AUGMENTATION_STREAM, *drawn)
        batch = change(*batch, seed)
    if order.part.is_all:
        return batch
    return (*batch, order.compute_size(count, number))


def _encode_paths(paths: Sequence[str]) -> list[bytes]:
    """Encodes paths as the file system does, UTF-8 or not."""
    return [os.fsencode(path) for path in paths]
