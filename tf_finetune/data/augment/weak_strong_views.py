"""Weakly and strongly augmented views of a picture, for FixMatch.

The strong view is made from the weak one and leaves every pixel where it is,
so that what is said of a place in one can be asked of it in the other.

Source: Sohn et al. 2020, "FixMatch: Simplifying Semi-Supervised Learning with
Consistency and Confidence", section 2.3; DeVries & Taylor 2017, "Improved
Regularization of Convolutional Neural Networks with Cutout", section 3.2.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from tf_finetune.data.augment import augmentation as augmentations
from tf_finetune.data.augment import random_changes

_LEVEL = "light"
_CUTOUT_SHARE = 0.5  # Of each side, at most.
_GRAY = 127.5  # The middle of 0..255.


def build_weak_and_strong() -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns the function that makes FixMatch's two versions of each picture.

    The weak version is mirrored, shifted and enlarged; the strong one is the
    weak one with changed colors and a rectangle cut out.

    Returns:
        (images float32 [n, size, size, 3] 0..255, seed int32 [2]) → float32
        [2 n, size, size, 3], the weak versions before the strong ones; the
        result depends on the two alone.
    """
    change, layers = (
        augmentations.build_augmentation(_LEVEL),
        _build_color_layers(),
    )

    def views(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        # The changes take labels, too; blank ones are thrown away.
        blank = tf.zeros([tf.shape(images)[0], 1])
        weak, _ = change(images, blank, seed)
        # A seed of its own, so that the strong view's draws are not those of
        # the weak one.
        draws = random_changes.StatelessSeeds(
            tf.random.fold_in(seed, 1, alg="philox")
        )
        batch = {"images": weak}
        for layer in layers:
            batch = random_changes.apply_layer(layer, batch, draws)
        strong = tf.clip_by_value(batch["images"], 0.0, 255.0)
        return tf.concat([weak, _cut_out(strong, draws)], axis=0)

    return views


def keep_images(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns the images themselves, for objectives that augment nothing.

    Args:
        images: Any tensor.
        seed: Ignored.
    """
    del seed
    return images


def _build_color_layers() -> tuple[keras.layers.Layer, ...]:
    # Whatever the global policy is, pixels are computed in float32.
    kind = {"dtype": "float32"}
    return (
        keras.layers.RandomBrightness(0.3, **kind),
        keras.layers.RandomContrast(0.5, **kind),
        keras.layers.RandomColorDegeneration(0.8, **kind),
    )


def _cut_out(
    images: tf.Tensor, draws: random_changes.StatelessSeeds
) -> tf.Tensor:
    """Covers a rectangle of each picture, around a place drawn anywhere."""
    count, side = tf.shape(images)[0], images.shape[1]
    numbers = tf.random.stateless_uniform(
        (4, count, 1), draws.next(), alg="philox"
    )
    pixels = tf.range(side, dtype=tf.float32)[tf.newaxis] / side

    def cover(center: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        # The size is uniform in 0..1, so that `_CUTOUT_SHARE` is the most.
        return tf.abs(pixels - center) < size * _CUTOUT_SHARE / 2

    rows = cover(numbers[0], numbers[1])[:, :, tf.newaxis, tf.newaxis]
    columns = cover(numbers[2], numbers[3])[:, tf.newaxis, :, tf.newaxis]
    return tf.where(rows & columns, _GRAY, images)
