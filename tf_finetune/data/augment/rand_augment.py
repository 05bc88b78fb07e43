"""RandAugment: a few changes to each picture, drawn from a list.

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

from tf_finetune.data.augment import sampling as random_draws


def build_rand_augment(
    num_changes: int, magnitude: float
) -> Callable[
    [random_draws.Batch, random_draws.StatelessSeeds], random_draws.Batch
]:
    """Returns the function that applies N random changes to each picture.

    Args:
        num_changes: How many changes a picture gets, the paper's N.
        magnitude: 0..1, how strong they may be, the paper's M / 10.

    Returns:
        (batch, draws) → batch; masks are turned, sheared and moved with their
        pictures.
    """
    layers = _build_layers(magnitude)

    def change(
        batch: random_draws.Batch, draws: random_draws.StatelessSeeds
    ) -> random_draws.Batch:
        for _ in range(num_changes):
            batch = _apply_one_layer(batch, layers, draws)
        return batch

    return change


def _build_layers(magnitude: float) -> tuple[keras.layers.Layer, ...]:
    """Returns the changes that a picture may get, beside none at all.

    The paper's solarize and equalize are missing: Keras' solarization makes a
    negative of most of a picture at every magnitude, and its equalization
    takes one histogram of the whole batch.
    """
    # Ranges at magnitude M = 10 in the paper's implementation: 30 degrees of
    # rotation, 0.3 of shear, 0.9 of enhancement, 4 bits left.
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


def _apply_one_layer(
    batch: random_draws.Batch,
    layers: Sequence[keras.layers.Layer],
    draws: random_draws.StatelessSeeds,
) -> random_draws.Batch:
    """Gives each picture one of the layers' changes, or none."""
    # Partition, change each part by its own layer, stitch: only the layers that
    # were drawn are computed. Part 0 stays as it is.
    count = tf.shape(next(iter(batch.values())))[0]
    num_parts = len(layers) + 1
    chosen = tf.random.stateless_uniform(
        (count,), draws.next(), maxval=num_parts, dtype=tf.int32, alg="philox"
    )
    rows = tf.dynamic_partition(tf.range(count), chosen, num_parts)
    divided = {
        kind: tf.dynamic_partition(each, chosen, num_parts)
        for kind, each in batch.items()
    }
    changed = [
        _apply_unless_empty(
            layer, {kind: each[k] for kind, each in divided.items()}, draws
        )
        for k, layer in enumerate(layers, start=1)
    ]
    return {
        kind: tf.ensure_shape(
            tf.dynamic_stitch(
                rows, [divided[kind][0], *(part[kind] for part in changed)]
            ),
            each.shape,
        )
        for kind, each in batch.items()
    }


def _apply_unless_empty(
    layer: keras.layers.Layer,
    batch: random_draws.Batch,
    draws: random_draws.StatelessSeeds,
) -> random_draws.Batch:
    # A layer that no picture of the batch drew is not computed.
    return tf.cond(
        tf.shape(next(iter(batch.values())))[0] > 0,
        lambda: random_draws.apply_layer_to_batch(layer, batch, draws),
        lambda: batch,
    )
