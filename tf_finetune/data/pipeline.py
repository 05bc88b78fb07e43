"""Picture files as batches of pixels, in an order that can be relied upon."""

import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tf_finetune.config import model_options, training_options
from tf_finetune.data import parts
from tf_finetune.data import targets as target_rows
from tf_finetune.data.augmenting import augmentation as augmentations
from tf_finetune.data.pictures import decoding

# Streams of random numbers of one seed that must not repeat each other.
_ORDER, _CHANGES = 0, 1


def evaluation_images(
    paths: Sequence[str],
    *,
    image_size: int,
    resize: model_options.Resize,
    batch_size: int,
) -> tf.data.Dataset:
    """Returns the pictures in the order of their paths, each exactly once.

    Args:
        paths: Picture files.
        image_size: Side of the square in pixels.
        resize: As in `decoding.load_bytes`.
        batch_size: Pictures a batch; the last batch may hold fewer.

    Returns:
        Dataset of float32 [batch, image_size, image_size, 3], 0..255.
    """
    return (
        tf.data.Dataset.from_tensor_slices(_encoded(paths))
        .map(
            lambda path: decoding.load(
                path, image_size=image_size, resize=resize
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )


def changed_images(
    paths: Sequence[str],
    seeds: np.ndarray,
    *,
    image_size: int,
    resize: model_options.Resize,
    batch_size: int,
    level: training_options.Augmentation,
) -> tf.data.Dataset:
    """Returns augmented pictures in the order of their paths, each once.

    Args:
        paths: Picture files.
        seeds: int32 [len(paths), 2]; each picture's change depends on its own
            alone, not on its neighbours.
        image_size: Side of the square in pixels.
        resize: As in `decoding.load_bytes`.
        batch_size: Pictures a batch; the last batch may hold fewer.
        level: Of the augmentation, one that mixes no pictures.

    Returns:
        Dataset of float32 [batch, image_size, image_size, 3], 0..255.
    """
    change = augmentations.build(level)

    def changed(path: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        image = decoding.load(path, image_size=image_size, resize=resize)
        images, _ = change(image[tf.newaxis], tf.zeros((1, 1)), seed)
        return tf.ensure_shape(images[0], (image_size, image_size, 3))

    seeds = np.asarray(seeds, "int32")
    return (
        tf.data.Dataset.from_tensor_slices((_encoded(paths), seeds))
        .map(changed, tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )


def training_batches(
    paths: Sequence[str],
    targets: target_rows.Targets,
    *,
    image_size: int,
    resize: model_options.Resize,
    batch_size: int,
    augmentation: training_options.Augmentation,
    seed: int,
    first_epoch: int,
    epochs: int,
    first_step: int = 0,
    part: parts.Part = parts.WHOLE,
) -> tf.data.Dataset:
    """Returns the batches of the epochs `first_epoch` .. `epochs` - 1.

    Order and augmentation of a batch depend on `seed`, its epoch and its step
    alone: a run that starts again at one sees what it would have seen.

    Args:
        paths: Picture files.
        targets: Of the pictures; they begin again where there are more paths.
        image_size: Side of the square in pixels.
        resize: As in `decoding.load_bytes`.
        batch_size: Pictures a batch; an epoch's last batch may hold fewer.
        augmentation: A level of `augmentation.LEVELS`.
        seed: Start of every random draw.
        first_epoch: From 0.
        epochs: Number of the first epoch that is not wanted.
        first_step: Batches of the first epoch that are left out, and not even
            read.
        part: Of each batch; other pictures are not read. Changes drawn at
            random are others in each part.

    Returns:
        Dataset of (images float32 [batch, image_size, image_size, 3] 0..255,
        targets [batch, …]); of a part, also the size of the whole batch,
        int64.
    """
    steps = -(-len(paths) // batch_size)
    loaded = _loader(paths, targets, image_size=image_size, resize=resize)
    first = first_epoch * steps + first_step
    change = change_of(augmentation, targets)
    changed = _changer(change, seed, first, steps, part)
    width = part.largest(batch_size)

    def places(epoch: tf.Tensor) -> tf.data.Dataset:
        order = padded_order(len(paths), steps * batch_size, seed, epoch)
        if not part.is_all:
            order = part_of_order(order, batch_size, part)
        begun = tf.where(epoch == first_epoch, first_step * width, 0)
        return tf.data.Dataset.from_tensor_slices(order[begun:])

    def sized(number: tf.Tensor, batch: tuple[tf.Tensor, ...]) -> tuple:
        # Only the last batch of an epoch is smaller.
        rest = len(paths) - (first + number) % steps * batch_size
        return (*batch, tf.minimum(rest, batch_size))

    count = max(epochs * steps - first, 0)
    batches = (
        tf.data.Dataset.range(first_epoch, epochs)
        .flat_map(places)
        .map(loaded, tf.data.AUTOTUNE, deterministic=True)
        .batch(width, drop_remainder=True)
        .enumerate()
        .map(changed, tf.data.AUTOTUNE, deterministic=True)
    )
    if not part.is_all:
        batches = batches.enumerate().map(sized)
    exactly = tf.data.experimental.assert_cardinality(count)
    return batches.apply(exactly).prefetch(tf.data.AUTOTUNE)


def change_of(
    level: training_options.Augmentation, targets: target_rows.Targets
) -> augmentations.Change | None:
    """Returns what changes pictures, and targets that lie on them."""
    if targets.moves and level != "none":
        return augmentations.build_for_masks(level).together
    return augmentations.build(level)


def _loader(
    paths: Sequence[str],
    targets: target_rows.Targets,
    *,
    image_size: int,
    resize: model_options.Resize,
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Returns place → (image, target, whether it is no padding)."""
    with tf.device("CPU"):
        files = tf.constant(_encoded(paths))

    def loaded(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        is_real = place >= 0
        image = tf.cond(
            is_real,
            lambda: decoding.load(
                files[place], image_size=image_size, resize=resize
            ),
            lambda: tf.zeros((image_size, image_size, 3)),
        )
        number = tf.maximum(place, 0)[tf.newaxis] % len(targets)
        return image, targets.batch(number, tf.zeros_like(number))[0], is_real

    return loaded


def _changer(
    change: augmentations.Change | None,
    seed: int,
    first: int,
    steps: int,
    part: parts.Part,
) -> Callable[[tf.Tensor, tuple[tf.Tensor, ...]], tuple[tf.Tensor, tf.Tensor]]:
    """Returns (number of the batch, batch) → images and labels as trained on.

    Args:
        change: The augmentation, if any.
        seed: Start of every random draw.
        first: Batches before batch 0, from the start of epoch 0.
        steps: Batches an epoch.
        part: Of each batch.
    """

    def changed(
        number: tf.Tensor, batch: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels, is_real = batch
        count = tf.math.count_nonzero(is_real)
        images, labels = images[:count], labels[:count]
        if change is None:
            return images, labels
        epoch, step = (first + number) // steps, (first + number) % steps
        numbers = (epoch, step) if part.is_all else (epoch, step, part.first)
        return change(images, labels, seed_of(seed, _CHANGES, *numbers))

    return changed


def _encoded(paths: Sequence[str]) -> list[bytes]:
    """Returns the names as the file system knows them, UTF-8 or not."""
    return [os.fsencode(path) for path in paths]


def padded_order(
    count: int, padded_count: int, seed: int, epoch: tf.Tensor
) -> tf.Tensor:
    """Returns the order of an epoch's examples.

    Padding makes each epoch a whole number of batches, so that pictures of
    the next epoch can be read while this one ends.

    Args:
        count: Of the examples.
        padded_count: Of the places, a multiple of the batch size.
        seed: Start of every random draw.
        epoch: Scalar integer, from 0.

    Returns:
        int64 [padded_count]: a permutation of 0 .. count - 1, then -1.
    """
    keys = tf.random.stateless_uniform(
        (count,),
        seed=seed_of(seed, _ORDER, epoch),
        minval=None,
        maxval=None,
        dtype=tf.int64,
        alg="philox",
    )
    order = tf.cast(tf.argsort(keys, stable=True), tf.int64)
    return tf.pad(order, [[0, padded_count - count]], constant_values=-1)


def part_of_order(
    order: tf.Tensor, batch_size: int, part: parts.Part
) -> tf.Tensor:
    """Returns a part of each batch of an order, padded to one length.

    Args:
        order: [steps * batch_size]; -1 behind the last example.
        batch_size: Of whole batches.
        part: Which one.

    Returns:
        int64 [steps * part.largest(batch_size)], -1 where there is none.
    """

    def taken(places: tf.Tensor) -> tf.Tensor:
        low, high = part.bounds(tf.math.count_nonzero(places >= 0))
        found = places[low:high]
        width = part.largest(batch_size)
        padding = [[0, width - tf.shape(found)[0]]]
        return tf.pad(found, padding, constant_values=-1)

    rows = tf.reshape(order, [-1, batch_size])
    return tf.reshape(tf.map_fn(taken, rows), [-1])


def seed_of(seed: int, *numbers: tf.Tensor | int) -> tf.Tensor:
    """Returns an int32 [2] seed that is a function of all the numbers."""
    folded = tf.constant([seed, 0], tf.int32)
    for number in numbers:
        folded = tf.random.fold_in(
            folded, tf.cast(number, tf.int32), alg="philox"
        )
    return folded
