"""Training batches of pictures in fixed views, which a teacher has seen too.

Views take turns as cached ones do (`feature_cache.batches`); pictures are
decoded and augmented anew in every epoch, each by the seed of its view.
"""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_finetune.config import picture_options, training_options
from tf_finetune.data import epoch_order, pipeline
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
        square: What a picture is decoded into.
    """

    paths: Sequence[str]
    targets: target_rows.Targets
    seeds: np.ndarray
    augmentation: training_options.Augmentation
    square: picture_options.Square


def build_batches(
    pictures: ViewedPictures, order: epoch_order.BatchOrder
) -> tf.data.Dataset:
    """Builds the training batches of some epochs.

    Args:
        pictures: The pictures, and how they are loaded.
        order: Order and extent of the batches.

    Returns:
        Dataset of (images float32 [batch, size, size, 3] of 0..255,
        targets [batch, …]). If `order.part` is not all replicas, the size of
        the whole batch follows, an int64 scalar.
    """
    square, views = pictures.square, 1 + len(pictures.seeds)
    change = augmentations.build_augmentation(pictures.augmentation)
    with tf.device("CPU"):
        files = tf.constant([os.fsencode(path) for path in pictures.paths])
        seeds = tf.constant(pictures.seeds, tf.int32)

    def choose_view(place: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        # Offset by picture, so that every batch mixes views.
        return (place + epoch) % views

    def load_view(place: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        image = decoding.load_file(files[place], square)
        if change is None or views == 1:
            return image
        view = choose_view(place, epoch)

        def augment() -> tf.Tensor:
            # A batch of one, by the view's own seed, as cached views are.
            images, _ = change(
                image[tf.newaxis], tf.zeros((1, 1)), seeds[view - 1, place]
            )
            return tf.ensure_shape(images[0], (square.size, square.size, 3))

        return tf.cond(view == 0, lambda: image, augment)

    def make_target(place: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        view = choose_view(place, epoch)
        return pictures.targets.batch(place[tf.newaxis], view[tf.newaxis])[0]

    return pipeline.load_in_order(
        order,
        len(pictures.paths),
        image_size=square.size,
        load=load_view,
        make_target=make_target,
    )
