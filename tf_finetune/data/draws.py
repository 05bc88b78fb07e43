"""Random layers of Keras whose draws are a function of a seed tensor."""

import keras
import tensorflow as tf


class Draws(keras.random.SeedGenerator):
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
        self._count += 1
        return tf.random.fold_in(self._seed, self._count, alg="philox")


def apply(
    layer: keras.layers.Layer, images: tf.Tensor, draws: Draws
) -> tf.Tensor:
    """Changes each picture as a Keras image layer does in training.

    Args:
        layer: An image preprocessing layer that is not made of others.
        images: float32 [batch, height, width, 3], 0..255.
        draws: Where its random numbers come from.

    Returns:
        float32 [batch, height, width, 3].
    """
    transformation = layer.get_random_transformation(
        images, training=True, seed=draws
    )
    return layer.transform_images(images, transformation, training=True)
