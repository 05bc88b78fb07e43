"""Training batches of pictures in fixed views, which a teacher has seen too.

Views take turns as cached ones do (`feature_cache.batches`); pictures are
decoded and augmented anew in every epoch, each by the seed of its view.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tf_finetune.config import picture_options, training_options
from tf_finetune.data import epoch_order
from tf_finetune.data import split_targets as target_rows
from tf_finetune.data.augment import augmentation as augmentations
from tf_finetune.data.images import decoding


@dataclasses.dataclass(frozen=True, kw_only=True)
class ViewedPictures:
    """Pictures of the training split with the seeds of their views.

    Attributes:
        paths: The n picture files.
        targets: Targets of the pictures, by view.
        seeds: int32 [views - 1, n, 2], of each augmented view of each picture;
            view 0 is the picture as it is.
        augmentation: Strength of the augmentation, one that mixes no pictures.
        image_size: Side of the square in pixels.
        resize: How a picture becomes square: "squash", "crop" or "pad".
        pixels: How transparent and 16-bit pictures are decoded.
    """

    paths: Sequence[str]
    targets: target_rows.Targets
    seeds: np.ndarray
    augmentation: training_options.Augmentation
    image_size: int
    resize: picture_options.Resize
    pixels: picture_options.PixelOptions = picture_options.DEFAULT_PIXELS


def build_batches(
    pictures: ViewedPictures,
    *,
    batch_size: int,
    seed: int,
    first_epoch: int,
    epochs: int,
    first_step: int = 0,
    part: epoch_order.Shard = epoch_order.WHOLE,
) -> tf.data.Dataset:
    """Builds the training batches of the epochs `first_epoch` .. `epochs` - 1.

    Args:
        pictures: The pictures, and how they are loaded.
        batch_size: Pictures per batch; an epoch's last batch may hold fewer.
        seed: Seed of the order of each epoch.
        first_epoch: Number of the first epoch, from 0.
        epochs: Number of the epoch after the last one.
        first_step: Number of batches of the first epoch that are skipped.
        part: Replicas whose share of each batch is read; by default all.

    Returns:
        Dataset of (images float32 [batch, image_size, image_size, 3] of 0..255,
        targets [batch, …]). If `part` is not all replicas, the size of the
        whole batch follows, an int64 scalar.
    """
    count = len(pictures.paths)
    steps = -(-count // batch_size)  # Rounded up.
    width = part.max_size(batch_size)
    load = _build_loader(pictures)

    def places(epoch: tf.Tensor) -> tf.data.Dataset:
        found = epoch_order.draw_padded(count, steps * batch_size, seed, epoch)
        if not part.is_all:
            found = epoch_order.take_shard(found, batch_size, part)
        # A resumed run begins inside its first epoch.
        begun = tf.where(epoch == first_epoch, first_step * width, 0)
        found = found[begun:]
        return tf.data.Dataset.from_tensor_slices(
            (found, tf.fill(tf.shape(found), epoch))
        )

    first = first_epoch * steps + first_step
    total = max(epochs * steps - first, 0)

    def finish(number: tf.Tensor, batch: tuple[tf.Tensor, ...]) -> tuple:
        images, targets, is_real = batch
        # Padding stands at the end of a batch.
        real = tf.math.count_nonzero(is_real)
        whole = images[:real], targets[:real]
        if part.is_all:
            return whole
        # Only the last batch of an epoch is smaller.
        rest = count - (first + number) % steps * batch_size
        return (*whole, tf.minimum(rest, batch_size))

    return (
        tf.data.Dataset.range(first_epoch, epochs)
        .flat_map(places)
        .map(load, tf.data.AUTOTUNE, deterministic=True)
        # Epochs are padded to whole batches, so that nothing is lost.
        .batch(width, drop_remainder=True)
        .enumerate()
        .map(finish, tf.data.AUTOTUNE, deterministic=True)
        # After flat_map tf.data no longer knows the number of batches.
        .apply(tf.data.experimental.assert_cardinality(total))
        .prefetch(tf.data.AUTOTUNE)
    )


def _build_loader(
    pictures: ViewedPictures,
) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Returns a function of place and epoch → image, target, whether real.

    Padding has the place -1, a black image and the first target.
    """
    size, views = pictures.image_size, 1 + len(pictures.seeds)
    change = augmentations.build_augmentation(pictures.augmentation)
    with tf.device("CPU"):
        files = tf.constant([os.fsencode(path) for path in pictures.paths])
        seeds = tf.constant(pictures.seeds, tf.int32)

    def decode(place: tf.Tensor, view: tf.Tensor) -> tf.Tensor:
        image = decoding.load_file(
            files[place],
            image_size=size,
            resize=pictures.resize,
            pixels=pictures.pixels,
        )
        if change is None or views == 1:
            return image

        def augment() -> tf.Tensor:
            # A batch of one, by the view's own seed, as cached views are.
            images, _ = change(
                image[tf.newaxis], tf.zeros((1, 1)), seeds[view - 1, place]
            )
            return tf.ensure_shape(images[0], (size, size, 3))

        return tf.cond(view == 0, lambda: image, augment)

    def load(
        place: tf.Tensor, epoch: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        is_real = place >= 0
        number = tf.maximum(place, 0)
        # Offset by picture, so that every batch mixes views.
        view = (number + epoch) % views
        image = tf.cond(
            is_real,
            lambda: decode(number, view),
            lambda: tf.zeros((size, size, 3)),
        )
        target = pictures.targets.batch(number[tf.newaxis], view[tf.newaxis])[0]
        return image, target, is_real

    return load
