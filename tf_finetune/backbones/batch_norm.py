"""Batch norm in one kernel on a CPU.

Keras 3 computes batch norm from its formula: moments, differences, products,
each a pass over the feature map of its own, in training and backwards too.
TensorFlow has one kernel for all of it. The layers stay Keras' own: only what
a call computes is replaced, in this process, so that files and configurations
know nothing of it.

Source: Ioffe & Szegedy 2015, "Batch Normalization", algorithms 1 and 2.
"""

import types

import keras
import tensorflow as tf

_PLAIN = keras.layers.BatchNormalization.call


def fuse(model: keras.Model) -> None:
    """Lets the batch norm layers of a model, at any depth, use that kernel.

    Numbers change by rounding only. Where a GPU or TPU is visible nothing is
    done: XLA fuses the formula there.

    Args:
        model: Changed in place; before it is traced.
    """
    if len(tf.config.get_visible_devices()) > len(
        tf.config.get_visible_devices("CPU")
    ):
        return
    for layer in model._flatten_layers(include_self=False):
        if _is_plain(layer):
            layer.call = types.MethodType(_call, layer)


def _is_plain(layer: keras.Layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.input_spec is not None
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and not layer.synchronized
        and not getattr(layer, "renorm", False)
    )


def _call(
    layer: keras.layers.BatchNormalization,
    inputs: tf.Tensor,
    training: bool | None = None,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """Stands in for `BatchNormalization.call`."""
    if mask is not None or inputs.dtype != "float32":
        return _PLAIN(layer, inputs, training=training, mask=mask)
    if not training:
        return _normalized(
            layer,
            inputs,
            mean=layer.moving_mean.value,
            variance=layer.moving_variance.value,
            is_training=False,
        ).y
    if not layer.trainable:
        # The kernel's gradient takes longer than that of the formula.
        return _PLAIN(layer, inputs, training=training, mask=mask)
    none = tf.zeros([0])
    found = _normalized(
        layer, inputs, mean=none, variance=none, is_training=True
    )
    # The kernel divides by n - 1; Keras' moving variance is that of n.
    count = tf.size(inputs, tf.int64) // inputs.shape[-1]
    count = tf.cast(count, tf.float32)
    biased = found.batch_variance * ((count - 1) / count)
    for moving, seen in (
        (layer.moving_mean, found.batch_mean),
        (layer.moving_variance, biased),
    ):
        moving.assign(
            moving.value * layer.momentum + seen * (1.0 - layer.momentum)
        )
    return found.y


def _normalized(
    layer: keras.layers.BatchNormalization,
    inputs: tf.Tensor,
    *,
    mean: tf.Tensor,
    variance: tf.Tensor,
    is_training: bool,
) -> tuple[tf.Tensor, ...]:
    width = inputs.shape[-1]
    return tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=layer.gamma.value if layer.scale else tf.ones([width]),
        offset=layer.beta.value if layer.center else tf.zeros([width]),
        mean=mean,
        variance=variance,
        epsilon=layer.epsilon,
        is_training=is_training,
    )
