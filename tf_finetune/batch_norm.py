"""Batch norm in one kernel on a CPU, while a graph is traced.

Keras 3 computes batch norm from its formula: moments, differences, products,
each a pass over the feature map of its own, in training and backwards too.
TensorFlow has one kernel for all of it: a forward pass of MobileNetV2 takes
three quarters of the time, a training step two thirds. What is compiled here
uses it; the model itself stays Keras' own, and so does what it answers when it
is called and what lies in its files.

Source: Ioffe & Szegedy 2015, "Batch Normalization", algorithms 1 and 2.
"""

import contextlib
import types
from collections.abc import Iterator

import keras
import tensorflow as tf

_PLAIN = keras.layers.BatchNormalization.call


@contextlib.contextmanager
def in_one_kernel(model: keras.Model) -> Iterator[None]:
    """Lets batch norm layers, at any depth, use that kernel for a while.

    A function is compiled for what is set when it first runs: whatever is to
    use the kernel has to run for the first time inside the block. Numbers
    differ by rounding only. Where a GPU or TPU is visible nothing is done: XLA
    fuses the formula there.

    Args:
        model: Whose layers are meant; inside the block of another model that
            shares them, nothing is done twice.
    """
    layers = [] if _accelerated() else model._flatten_layers(include_self=False)
    changed = [layer for layer in layers if _is_plain(layer)]
    try:
        for layer in changed:
            layer.call = types.MethodType(_call, layer)
        yield
    finally:
        for layer in changed:
            del layer.call


def _accelerated() -> bool:
    visible = tf.config.get_visible_devices()
    return any(device.device_type != "CPU" for device in visible)


def _is_plain(layer: keras.Layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and "call" not in vars(layer)
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
