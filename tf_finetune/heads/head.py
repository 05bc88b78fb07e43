"""Head: the layers between a backbone and the logits; linear and MLP head."""

import dataclasses
from collections.abc import Callable, Sequence

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.config import model_options
from tf_finetune.heads import layer_grammar


@dataclasses.dataclass(frozen=True, kw_only=True)
class Head:
    """Layers added to a backbone's graph, from feature maps to logits.

    Attributes:
        inputs: Tensors of the backbone's graph that the head reads.
        logits: Output of the head, [batch, …, outputs].
        backbone: The backbone it is attached to, which the builder may have
            rebuilt.
    """

    inputs: tuple[keras.KerasTensor, ...]
    logits: keras.KerasTensor
    backbone: backbones.Backbone


BuildHead = Callable[
    [backbones.Backbone, model_options.ModelOptions, int], Head
]
"""Signature of a head's builder: backbone, options, number of outputs → head.

A head that needs another stride builds the backbone again, with the same layer
names and weights; then `Head.backbone` is the new one.
"""


def build_linear(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
) -> Head:
    """Builds the linear head on the pooled last feature map.

    Args:
        backbone: Its last feature map is average-pooled.
        options: `surgery.head_layers`, `dropout` and `l2` are read.
        outputs: Number of logits.
    """
    return _build_pooled_head(backbone, build_linear_layers(options, outputs))


def build_mlp(
    backbone: backbones.Backbone,
    options: model_options.ModelOptions,
    outputs: int,
) -> Head:
    """Builds the MLP head: a dense ReLU layer below the linear head.

    Args:
        backbone: Its last feature map is average-pooled.
        options: `head_units` is the width of the hidden layer;
            `surgery.head_layers`, `dropout` and `l2` are read, too.
        outputs: Number of logits.
    """
    hidden = keras.layers.Dense(
        options.head_units,
        activation="relu",
        kernel_regularizer=_build_regularizer(options.l2),
        name="head_hidden",
    )
    layers = [hidden, *build_linear_layers(options, outputs)]
    return _build_pooled_head(backbone, layers)


def build_linear_layers(
    options: model_options.ModelOptions, outputs: int
) -> list[keras.Layer]:
    """Builds the layers of `--head_layers`, dropout (if any), a dense layer.

    Args:
        options: `surgery.head_layers`, `dropout` and `l2` are read.
        outputs: Number of logits.

    Returns:
        Layers that map features [batch, width] to logits [batch, outputs].
        Dropout acts in training only.
    """
    top = keras.layers.Dense(
        outputs,
        kernel_regularizer=_build_regularizer(options.l2),
        name="logits",
    )
    # Dropout acts on the input of the last layer, behind --head_layers.
    below = build_hidden_layers(options)
    if options.dropout:
        rate = options.dropout
        below.append(keras.layers.Dropout(rate, name="head_dropout"))
    return [*below, top]


def build_hidden_layers(
    options: model_options.ModelOptions,
) -> list[keras.Layer]:
    """Builds the layers of `--head_layers`, in order.

    Dropout acts in training only; batch norm uses the statistics of the batch
    in training and their moving averages in inference.

    Args:
        options: `surgery.head_layers` and `l2`, of the dense kernels, are
            read.

    Returns:
        New, unbuilt Keras layers; empty without `--head_layers`.

    Raises:
        UsageError: A word of `--head_layers` is not a layer.
    """
    if not options.surgery.head_layers:
        return []
    found = []
    counts: dict[str, int] = {}
    # Names must be unique in a model: head_dense1, head_relu1, head_dense2.
    for part in layer_grammar.parse_layers(options.surgery.head_layers):
        word = part.activation or part.kind
        counts[word] = counts.get(word, 0) + 1
        found.append(
            _build_layer(part, f"head_{word}{counts[word]}", options.l2)
        )
    return found


def _build_layer(
    part: layer_grammar.LayerSpec, name: str, l2: float
) -> keras.Layer:
    if part.kind == "dense":
        return keras.layers.Dense(
            part.units,
            # He et al. 2015: layers that a ReLU follows.
            kernel_initializer="he_normal",
            kernel_regularizer=_build_regularizer(l2),
            name=name,
        )
    if part.kind == "dropout":
        return keras.layers.Dropout(part.share, name=name)
    if part.kind == "batch_norm":
        return keras.layers.BatchNormalization(name=name)
    if part.kind == "layer_norm":
        return keras.layers.LayerNormalization(name=name)
    return keras.layers.Activation(part.activation, name=name)


def _build_pooled_head(
    backbone: backbones.Backbone, layers: Sequence[keras.Layer]
) -> Head:
    """Adds layers to the globally average-pooled last feature map.

    Args:
        backbone: The network that computes the feature map.
        layers: From features [batch, width] to logits [batch, outputs].
    """
    # By this name an export finds the layer for its signature `embed`.
    features = keras.layers.GlobalAveragePooling2D(name="features")(
        backbone.model.outputs[0]
    )
    logits = features
    for layer in layers:
        logits = layer(logits)
    return Head(inputs=(features,), logits=logits, backbone=backbone)


def _build_regularizer(l2: float) -> keras.regularizers.L2 | None:
    return keras.regularizers.L2(l2) if l2 else None
