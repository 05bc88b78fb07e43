"""Random numbers for Keras layers, as a function of a seed tensor."""

import keras
import tensorflow as tf

Batch = dict[str, tf.Tensor]
"""By Keras' words: "images" float32 [batch, height, width, 3], 0..255, and the
targets as "labels" float32 [batch, …] or as "segmentation_masks" float32
[batch, height, width, 1]."""


class StatelessSeeds(keras.random.SeedGenerator):
    """A seed generator without state: the nth draw depends on the seed alone.

    Keras' own keeps its state in a variable, so that a draw depends on how
    many batches were made before it, and in which of the parallel calls.

    Args:
        seed: int32 [2]; draws are made where it may be used (same graph).
    """

    def __init__(self, seed: tf.Tensor) -> None:
        # Without super().__init__, which makes the variable.
        self._seed = seed
        self._count = 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        """Returns the int32 [2] seed of the next draw."""
        del ordered
        # Philox is counter-based: the same numbers on CPU and GPU, in graphs
        # and eagerly.
        self._count += 1
        return tf.random.fold_in(self._seed, self._count, alg="philox")


def apply_layer(
    layer: keras.layers.Layer, images: tf.Tensor, draws: StatelessSeeds
) -> tf.Tensor:
    """Applies a Keras image layer to each picture as in training.

    Args:
        layer: An image preprocessing layer that is not made of others.
        images: float32 [batch, height, width, 3], 0..255.
        draws: Where its random numbers come from.

    Returns:
        float32 [batch, height, width, 3].
    """
    return apply_layer_to_batch(layer, {"images": images}, draws)["images"]


def apply_layer_to_batch(
    layer: keras.layers.Layer, batch: Batch, draws: StatelessSeeds
) -> Batch:
    """Applies a Keras image layer to pictures, masks or both by one draw.

    Args:
        layer: An image preprocessing layer that is not made of others.
        batch: What there is of them. The draw is the same for pictures, for
            masks, and for both.
        draws: Where its random numbers come from.

    Returns:
        The same things, changed: masks by the nearest pixel, or not at all
        where a layer changes colors only.
    """
    transformation = layer.get_random_transformation(
        next(iter(batch.values())), training=True, seed=draws
    )
    return {
        kind: getattr(layer, f"transform_{kind}")(
            each, transformation, training=True
        )
        for kind, each in batch.items()
    }
