"""Head: the layers between a backbone and the logits."""

import dataclasses
from collections.abc import Callable, Sequence

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.config import model_options


@dataclasses.dataclass(frozen=True, kw_only=True)
class Head:
    """Layers added to a backbone's graph.

    Attributes:
        inputs: The tensors of the backbone's graph that it is computed from.
        logits: Its output, [batch, …, outputs].
        backbone: The network it is attached to.
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


def build_pooled_head(
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
