"""Mixing of each training picture with another one of its batch."""

from collections.abc import Callable

import keras
import tensorflow as tf

from tf_finetune.data.augment import sampling as random_draws

MixFunction = Callable[
    [random_draws.Batch, random_draws.StatelessSeeds], random_draws.Batch
]


def build_mix(mixes: bool, *, blends: bool) -> MixFunction:
    """Returns the function that mixes pictures and their targets.

    Half of the pictures by CutMix; see `augmentation.Level.mix`.

    Args:
        mixes: Whether anything is mixed; otherwise a batch stays as it is.
        blends: Whether two targets can be blended: the other half is mixed by
            MixUp, or stays as it is.
    """
    if not mixes:
        return lambda batch, draws: batch
    mix_up = keras.layers.MixUp(alpha=0.2, dtype="float32")
    # The factor is the range of Beta's parameters. Keras' default begins at 0,
    # where Beta comes out as 0 / 0.
    cut_mix = keras.layers.CutMix(factor=(1.0, 1.0), dtype="float32")

    def mix(
        batch: random_draws.Batch, draws: random_draws.StatelessSeeds
    ) -> random_draws.Batch:
        others = batch
        if blends:
            others = random_draws.apply_layer_to_batch(mix_up, batch, draws)
        cut = random_draws.apply_layer_to_batch(cut_mix, batch, draws)
        chosen = tf.random.stateless_uniform(
            tf.shape(batch["images"])[:1], draws.next(), alg="philox"
        )
        return {
            kind: tf.where(_expand(chosen < 0.5, each), cut[kind], each)
            for kind, each in others.items()
        }

    return mix


def _expand(values: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Expands values [batch] to the rank of another tensor."""
    return tf.reshape(values, [-1, *[1] * (like.shape.rank - 1)])
