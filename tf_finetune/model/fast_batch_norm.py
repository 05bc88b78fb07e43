"""Computes batch norm faster on CPUs, while a graph is traced.

Keras 3 computes batch norm from its formula: moments, differences, products,
each a pass over the feature map of its own, in training and backwards too.
Two things are cheaper:

- Where the statistics are fixed (inference, and frozen layers in training) it
  is a factor and an offset for each channel, which the convolution below takes
  in: kernel times factor, bias plus offset. No pass over the map is left.
- Where they are those of the batch, TensorFlow has one kernel for all of it.

Only what is traced here computes so; the model itself stays Keras' own, and so
does what it answers when it is called and what lies in its files.

Source: Ioffe & Szegedy 2015, "Batch Normalization", algorithms 1 and 2; Jacob
et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", section 3.2 (folding).
"""

import contextlib
import dataclasses
import functools
import types
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

_KERAS_CALL = keras.layers.BatchNormalization.call


def list_batch_norms(
    model: keras.Model,
) -> list[keras.layers.BatchNormalization]:
    """Lists the batch-norm layers of a model, also those of nested models."""
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


@contextlib.contextmanager
def accelerate(model: keras.Model) -> Iterator[None]:
    """Speeds up the batch norms of a model on CPUs, within its block.

    It acts on functions that are traced inside the block: whatever is to be
    fast has to run for the first time there. Outputs differ by rounding only.
    Where a GPU or TPU is visible nothing is changed: XLA fuses the formula
    there.

    Args:
        model: Model whose layers, at any depth, are meant; inside the block of
            another model that shares them nothing is done twice.
    """
    layers = (
        [] if _has_accelerator() else model._flatten_layers(include_self=False)
    )
    made = _ConvolutionCalls()
    changed = []
    try:
        for layer in layers:
            call = _choose_call(layer, made)
            if call is not None:
                layer.call = types.MethodType(call, layer)
                changed.append(layer)
        yield
    finally:
        for layer in changed:
            # Without it the method of the class is seen again.
            del layer.call


@dataclasses.dataclass(frozen=True)
class _ConvolutionCall:
    """One call of a convolution.

    Attributes:
        layer: Whose call it was.
        inputs: What it got.
        output: What it returned.
    """

    layer: keras.Layer
    inputs: tf.Tensor
    output: tf.Tensor


class _ConvolutionCalls:
    """Convolution calls in a block, indexed by their output tensor.

    A convolution that a batch norm then takes in is computed again with the
    other kernel; the first one is used by nothing and drops out of the graph.
    """

    def __init__(self) -> None:
        # The output is kept with its call: its id must not be given away.
        self._calls: dict[int, _ConvolutionCall] = {}

    def record(
        self, layer: keras.Layer, inputs: tf.Tensor, output: tf.Tensor
    ) -> None:
        """Remembers a call."""
        self._calls[id(output)] = _ConvolutionCall(layer, inputs, output)

    def find_call(self, tensor: tf.Tensor) -> _ConvolutionCall | None:
        """Returns the call that made a tensor."""
        return self._calls.get(id(tensor))


def _has_accelerator() -> bool:
    visible = tf.config.get_visible_devices()
    return any(device.device_type != "CPU" for device in visible)


def _choose_call(
    layer: keras.Layer, made: _ConvolutionCalls
) -> Callable | None:
    """Returns the faster `call` of a layer; None leaves it as it is."""
    # The block of another model has replaced it already.
    if "call" in vars(layer):
        return None
    if _is_plain_batch_norm(layer):
        return functools.partial(_normalize, made)
    if _is_plain_convolution(layer):
        return functools.partial(_convolve, made)
    return None


def _is_plain_batch_norm(layer: keras.Layer) -> bool:
    # The fused kernel takes 4-D maps, channels last, of one device.
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.input_spec is not None
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and not layer.synchronized
        and not getattr(layer, "renorm", False)
    )


def _is_plain_convolution(layer: keras.Layer) -> bool:
    # An activation in between would not let the factor through.
    return (
        type(layer) in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
        and layer.data_format == "channels_last"
        and layer.activation is keras.activations.linear
    )


def _convolve(
    made: _ConvolutionCalls, layer: keras.Layer, inputs: tf.Tensor
) -> tf.Tensor:
    """Stands in for the `call` of a convolution."""
    output = type(layer).call(layer, inputs)
    # Outside a graph it would be computed twice, and kept.
    if not tf.executing_eagerly():
        made.record(layer, inputs, output)
    return output


def _normalize(
    made: _ConvolutionCalls,
    layer: keras.layers.BatchNormalization,
    inputs: tf.Tensor,
    training: bool | None = None,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """Stands in for `BatchNormalization.call`."""
    if mask is not None or inputs.dtype != "float32":
        return _KERAS_CALL(layer, inputs, training=training, mask=mask)
    if training and layer.trainable:
        return _normalize_by_batch(layer, inputs)
    below = made.find_call(inputs)
    if below is not None and below.inputs.dtype == "float32":
        return _fold_into_convolution(layer, below)
    if not training:
        return _apply_fused_kernel(
            layer,
            inputs,
            mean=layer.moving_mean.value,
            variance=layer.moving_variance.value,
            is_training=False,
        ).y
    # The kernel's gradient takes longer than that of the formula.
    return _KERAS_CALL(layer, inputs, training=training, mask=mask)


def _fold_into_convolution(
    layer: keras.layers.BatchNormalization, below: _ConvolutionCall
) -> tf.Tensor:
    """Computes a convolution with a fixed batch norm folded into its kernel."""
    # Jacob et al. 2018, section 3.2, with factor = γ / √(σ² + ε):
    # kernel ← kernel · factor, bias ← β + (bias − μ) · factor.
    factor = tf.math.rsqrt(layer.moving_variance.value + layer.epsilon)
    if layer.scale:
        factor *= layer.gamma.value
    offset = -layer.moving_mean.value * factor
    if layer.center:
        offset += layer.beta.value
    convolution = below.layer
    if convolution.use_bias:
        offset += convolution.bias * factor
    kernel = tf.convert_to_tensor(convolution.kernel)
    settings = {
        "strides": convolution.strides,
        "padding": convolution.padding,
        "data_format": convolution.data_format,
        "dilation_rate": convolution.dilation_rate,
    }
    if isinstance(convolution, keras.layers.DepthwiseConv2D):
        # Its channels are input channels times multiplier, in that order.
        factor = tf.reshape(factor, kernel.shape[2:])
        maps = keras.ops.depthwise_conv(
            below.inputs, kernel * factor, **settings
        )
    else:
        maps = keras.ops.conv(below.inputs, kernel * factor, **settings)
    return tf.nn.bias_add(maps, offset)


def _normalize_by_batch(
    layer: keras.layers.BatchNormalization, inputs: tf.Tensor
) -> tf.Tensor:
    """Normalizes with the batch's statistics; updates the moving averages."""
    # Ioffe & Szegedy 2015, algorithm 1, in TensorFlow's fused kernel, which
    # wants empty tensors for the mean and variance that it computes itself.
    none = tf.zeros([0])
    found = _apply_fused_kernel(
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
        # moving ← momentum · moving + (1 − momentum) · batch, as Keras.
        moving.assign(
            moving.value * layer.momentum + seen * (1.0 - layer.momentum)
        )
    return found.y


def _apply_fused_kernel(
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
