"""A few changes to each picture, drawn from a list.

`keras.layers.RandAugment` draws once for a whole batch and computes every
change each time; at the factor 0.3 it turns pictures by up to 108 degrees, and
posterizes the more the smaller its factor is. Here each picture gets its own
changes, only those are computed, and how far each may go stands below; the
changes themselves are Keras' layers.

Source: Cubuk et al. 2020, "RandAugment: Practical Automated Data Augmentation
with a Reduced Search Space", section 3 and its implementation's magnitudes.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tf_finetune.data import draws as random_draws


def build(
    num_changes: int, magnitude: float
) -> Callable[[tf.Tensor, random_draws.Draws], tf.Tensor]:
    """Returns a function that changes each picture of a batch.

    Args:
        num_changes: How many changes a picture gets, the paper's N.
        magnitude: 0..1, how strong they may be, the paper's M / 10.

    Returns:
        (images float32 [batch, height, width, 3] 0..255, draws) → images.
    """
    layers = _layers(magnitude)

    def change(images: tf.Tensor, draws: random_draws.Draws) -> tf.Tensor:
        for _ in range(num_changes):
            images = _changed_once(images, layers, draws)
        return images

    return change


def _layers(magnitude: float) -> tuple[keras.layers.Layer, ...]:
    """Returns the changes that a picture may get, beside none at all.

    The paper's solarize and equalize are missing: Keras' solarization makes a
    negative of most of a picture at every magnitude, and its equalization
    takes one histogram of the whole batch.
    """
    moved = 0.3 * magnitude
    blended = 0.9 * magnitude
    bits = 8 - round(4 * magnitude)
    # Whatever the global policy is, pixels are computed in float32.
    kind = {"dtype": "float32"}
    return (
        keras.layers.RandomRotation(magnitude * 30 / 360, **kind),
        keras.layers.RandomShear(x_factor=moved, **kind),
        keras.layers.RandomShear(y_factor=moved, **kind),
        keras.layers.RandomTranslation(moved, 0.0, **kind),
        keras.layers.RandomTranslation(0.0, moved, **kind),
        keras.layers.RandomBrightness(0.4 * magnitude, **kind),
        keras.layers.RandomContrast(blended, **kind),
        keras.layers.RandomColorDegeneration(blended, **kind),
        keras.layers.RandomSharpness(
            (0.5 - blended / 2, 0.5 + blended / 2), **kind
        ),
        keras.layers.RandomPosterization((bits, bits), **kind),
        keras.layers.AutoContrast(**kind),
    )


def _changed_once(
    images: tf.Tensor,
    layers: Sequence[keras.layers.Layer],
    draws: random_draws.Draws,
) -> tf.Tensor:
    """Gives each picture one of the layers' changes, or none."""
    count = tf.shape(images)[0]
    num_parts = len(layers) + 1
    chosen = tf.random.stateless_uniform(
        (count,), draws.next(), maxval=num_parts, dtype=tf.int32, alg="philox"
    )
    rows = tf.dynamic_partition(tf.range(count), chosen, num_parts)
    unchanged, *parts = tf.dynamic_partition(images, chosen, num_parts)
    changed = [
        _unless_empty(layer, part, draws)
        for layer, part in zip(layers, parts, strict=True)
    ]
    stitched = tf.dynamic_stitch(rows, [unchanged, *changed])
    return tf.ensure_shape(stitched, images.shape)


def _unless_empty(
    layer: keras.layers.Layer, images: tf.Tensor, draws: random_draws.Draws
) -> tf.Tensor:
    return tf.cond(
        tf.shape(images)[0] > 0,
        lambda: random_draws.apply(layer, images, draws),
        lambda: images,
    )
