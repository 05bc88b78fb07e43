"""Mixing of each training picture with another one of its batch."""

from collections.abc import Callable

import keras
import tensorflow as tf

from tf_finetune.data.augment import sampling as random_draws


def build_mix() -> Callable[
    [tf.Tensor, tf.Tensor, random_draws.StatelessSeeds],
    tuple[tf.Tensor, tf.Tensor],
]:
    """Returns the function that mixes each picture by MixUp or CutMix.

    Half of them by each; see `augmentation.Level.mix`.
    """
    layers = (
        keras.layers.MixUp(alpha=0.2, dtype="float32"),
        # The factor is the range of Beta's parameters. Keras' default begins
        # at 0, where Beta comes out as 0 / 0.
        keras.layers.CutMix(factor=(1.0, 1.0), dtype="float32"),
    )

    def mix(
        images: tf.Tensor, labels: tf.Tensor, draws: random_draws.StatelessSeeds
    ) -> tuple[tf.Tensor, tf.Tensor]:
        (blended, blended_labels), (cut, cut_labels) = (
            _mix_by_layer(layer, images, labels, draws) for layer in layers
        )
        chosen = tf.random.stateless_uniform(
            tf.shape(labels)[:1], draws.next(), alg="philox"
        )
        # Half of the pictures by each: `augmentation.Level.mix`.
        is_cut = chosen < 0.5
        return (
            tf.where(is_cut[:, None, None, None], cut, blended),
            tf.where(is_cut[:, None], cut_labels, blended_labels),
        )

    return mix


def build_cutmix() -> Callable[
    [random_draws.Batch, random_draws.StatelessSeeds], random_draws.Batch
]:
    """Returns the function that mixes half of a batch by CutMix.

    Masks are mixed as their pictures are; see `augmentation.Level.mix`.
    """
    layer = keras.layers.CutMix(factor=(1.0, 1.0), dtype="float32")

    def cut(
        batch: random_draws.Batch, draws: random_draws.StatelessSeeds
    ) -> random_draws.Batch:
        mixed = random_draws.apply_layer_to_batch(layer, batch, draws)
        chosen = tf.random.stateless_uniform(
            tf.shape(batch["images"])[:1], draws.next(), alg="philox"
        )
        # A mask cannot be blended: the other half stays as it is.
        is_cut = (chosen < 0.5)[:, None, None, None]
        return {
            kind: tf.where(is_cut, mixed[kind], each)
            for kind, each in batch.items()
        }

    return cut


def _mix_by_layer(
    layer: keras.layers.Layer,
    images: tf.Tensor,
    labels: tf.Tensor,
    draws: random_draws.StatelessSeeds,
) -> tuple[tf.Tensor, tf.Tensor]:
    transformation = layer.get_random_transformation(
        images, training=True, seed=draws
    )
    return (
        layer.transform_images(images, transformation, training=True),
        layer.transform_labels(labels, transformation, training=True),
    )
