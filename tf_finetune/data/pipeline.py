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
    paths: Sequence[str],
    *,
    image_size: int,
    resize: picture_options.Resize,
    pixels: picture_options.PixelOptions = picture_options.DEFAULT_PIXELS,
    batch_size: int,
) -> tf.data.Dataset:
    """Loads pictures in the order of their paths, each exactly once.

    Args:
        paths: Picture files.
        image_size: Side of the square in pixels.
        resize: How a picture becomes square: "squash", "crop" or "pad".
        pixels: How transparent and 16-bit pictures are decoded.
        batch_size: Pictures per batch; the last batch may hold fewer.

    Returns:
        Dataset of float32 [batch, image_size, image_size, 3], 0..255.
    """
    return (
        tf.data.Dataset.from_tensor_slices(_encode_paths(paths))
        # Without batching first: pictures of one batch are decoded in parallel.
        .map(
            _build_reader(image_size, resize, pixels),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )


def build_augmented_images(
    paths: Sequence[str],
    seeds: np.ndarray,
    *,
    image_size: int,
    resize: picture_options.Resize,
    pixels: picture_options.PixelOptions = picture_options.DEFAULT_PIXELS,
    batch_size: int,
    level: training_options.Augmentation,
) -> tf.data.Dataset:
    """Loads augmented pictures in the order of their paths, each once.

    Args:
        paths: Picture files.
        seeds: int32 [len(paths), 2]; each picture's augmentation depends on its
            own seed alone, not on its neighbors.
        image_size: Side of the square in pixels.
        resize: How a picture becomes square: "squash", "crop" or "pad".
        pixels: How transparent and 16-bit pictures are decoded.
        batch_size: Pictures per batch; the last batch may hold fewer.
        level: Strength of the augmentation, "light" or "medium": neither "none"
            nor one that mixes pictures ("strong").

    Returns:
        Dataset of float32 [batch, image_size, image_size, 3], 0..255.
    """
    change = augmentations.build_augmentation(level)
    load = _build_reader(image_size, resize, pixels)

    def augment(path: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        image = load(path)
        # A batch of one: nothing may depend on its neighbors. The target is a
        # placeholder.
        images, _ = change(image[tf.newaxis], tf.zeros((1, 1)), seed)
        return tf.ensure_shape(images[0], (image_size, image_size, 3))

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
    *,
    image_size: int,
    resize: picture_options.Resize,
    pixels: picture_options.PixelOptions = picture_options.DEFAULT_PIXELS,
    batch_size: int,
    augmentation: training_options.Augmentation,
    seed: int,
    first_epoch: int,
    epochs: int,
    first_step: int = 0,
    part: epoch_order.Shard = epoch_order.WHOLE,
) -> tf.data.Dataset:
    """Builds the training batches of the epochs `first_epoch` .. `epochs` - 1.

    Order and augmentation of a batch depend on `seed`, its epoch and its step
    alone, so that a resumed run sees the batches it would have seen.

    Args:
        paths: Picture files.
        targets: Targets of the pictures; path i has the target i %
            len(targets).
        image_size: Side of the square in pixels.
        resize: How a picture becomes square: "squash", "crop" or "pad".
        pixels: How transparent and 16-bit pictures are decoded.
        batch_size: Pictures per batch; an epoch's last batch may hold fewer.
        augmentation: Strength of the augmentation; "none" leaves it out.
        seed: Seed of every random draw.
        first_epoch: Number of the first epoch, from 0.
        epochs: Number of the epoch after the last one.
        first_step: Number of batches of the first epoch that are skipped,
            without being read.
        part: Replicas whose share of each batch is read; by default all. Random
            changes of a share differ from those of the same pictures in the
            whole batch.

    Returns:
        Dataset of (images float32 [batch, image_size, image_size, 3] of 0..255,
        targets [batch, …]). If `part` is not all replicas, the size of the
        whole batch follows, an int64 scalar.
    """
    steps = -(-len(paths) // batch_size)
    load = _build_reader(image_size, resize, pixels)
    loaded = _build_loader(paths, targets, load, image_size)
    first = first_epoch * steps + first_step
    change = augmentations.build_augmentation(augmentation, targets.moves_as)
    changed = _build_augmenter(change, seed, first, steps, part)
    width = part.max_size(batch_size)

    def places(epoch: tf.Tensor) -> tf.data.Dataset:
        found = epoch_order.draw_padded(
            len(paths), steps * batch_size, seed, epoch
        )
        if not part.is_all:
            found = epoch_order.take_shard(found, batch_size, part)
        # A resumed run begins inside its first epoch.
        begun = tf.where(epoch == first_epoch, first_step * width, 0)
        return tf.data.Dataset.from_tensor_slices(found[begun:])

    def append_size(number: tf.Tensor, batch: tuple[tf.Tensor, ...]) -> tuple:
        # Only the last batch of an epoch is smaller.
        rest = len(paths) - (first + number) % steps * batch_size
        return (*batch, tf.minimum(rest, batch_size))

    count = max(epochs * steps - first, 0)
    batches = (
        tf.data.Dataset.range(first_epoch, epochs)
        .flat_map(places)
        .map(loaded, tf.data.AUTOTUNE, deterministic=True)
        # Nothing is lost by it: epochs are padded to whole batches, so that
        # no batch crosses the end of an epoch.
        .batch(width, drop_remainder=True)
        .enumerate()
        .map(changed, tf.data.AUTOTUNE, deterministic=True)
    )
    if not part.is_all:
        batches = batches.enumerate().map(append_size)
    # After flat_map tf.data no longer knows the number of batches, which
    # `fit` wants for its progress bar and the end of an epoch.
    exactly = tf.data.experimental.assert_cardinality(count)
    return batches.apply(exactly).prefetch(tf.data.AUTOTUNE)


def _build_reader(
    image_size: int,
    resize: picture_options.Resize,
    pixels: picture_options.PixelOptions,
) -> Callable[[tf.Tensor], tf.Tensor]:
    return functools.partial(
        decoding.load_file, image_size=image_size, resize=resize, pixels=pixels
    )


def _build_loader(
    paths: Sequence[str],
    targets: target_rows.Targets,
    load: Callable[[tf.Tensor], tf.Tensor],
    image_size: int,
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Returns a function of a place → (image, target, whether it is real).

    Padding has the place -1, a black image and the first target.
    """
    with tf.device("CPU"):
        files = tf.constant(_encode_paths(paths))

    def load_place(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        is_real = place >= 0
        image = tf.cond(
            is_real,
            lambda: load(files[place]),
            lambda: tf.zeros((image_size, image_size, 3)),
        )
        # Modulo: several paths may share a target.
        number = tf.maximum(place, 0)[tf.newaxis] % len(targets)
        return image, targets.batch(number, tf.zeros_like(number))[0], is_real

    return load_place


def _build_augmenter(
    change: augmentations.AugmentFunction | None,
    seed: int,
    first: int,
    steps: int,
    part: epoch_order.Shard,
) -> Callable[[tf.Tensor, tuple[tf.Tensor, ...]], tuple[tf.Tensor, tf.Tensor]]:
    """Returns a function of (number, batch) → images and labels to train on.

    Args:
        change: The augmentation, if any.
        seed: Start of every random draw.
        first: Batches before batch 0, from the start of epoch 0.
        steps: Batches an epoch.
        part: Replicas whose share of each batch is loaded.
    """

    def augment_batch(
        number: tf.Tensor, batch: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels, is_real = batch
        # Padding stands at the end; it is cut off before pictures are mixed.
        count = tf.math.count_nonzero(is_real)
        images, labels = images[:count], labels[:count]
        if change is None:
            return images, labels
        epoch, step = (first + number) // steps, (first + number) % steps
        numbers = (epoch, step) if part.is_all else (epoch, step, part.first)
        return change(
            images,
            labels,
            epoch_order.fold_seed(seed, _AUGMENTATION_STREAM, *numbers),
        )

    return augment_batch


def _encode_paths(paths: Sequence[str]) -> list[bytes]:
    """Encodes paths as the file system does, UTF-8 or not."""
    return [os.fsencode(path) for path in paths]
