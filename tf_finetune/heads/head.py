"""What a head is: the layers between a backbone and the logits."""

import dataclasses
from collections.abc import Callable, Sequence

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.config import model_options


@dataclasses.dataclass(frozen=True, kw_only=True)
class Head:
    """A new top on a backbone's graph.

    Attributes:
        inputs: The tensors of the backbone's graph that it is computed from.
        logits: What it computes, [batch, …, outputs].
        backbone: The network it stands on.
    """

    inputs: tuple[keras.KerasTensor, ...]
    logits: keras.KerasTensor
    backbone: backbones.Backbone


Build = Callable[[backbones.Backbone, model_options.ModelOptions, int], Head]
"""A backbone, the options and the number of outputs → its new top.

A head that needs another stride builds the backbone again, with the same layer
names and weights; then `Head.backbone` is the new one.
"""


def on_pooled(
    backbone: backbones.Backbone, layers: Sequence[keras.Layer]
) -> Head:
    """Puts layers onto the last feature map, averaged over the picture.

    Args:
        backbone: The network below.
        layers: From features [batch, width] to logits [batch, outputs].
    """
    features = keras.layers.GlobalAveragePooling2D(name="features")(
        backbone.model.outputs[0]
    )
    logits = features
    for layer in layers:
        logits = layer(logits)
    return Head(inputs=(features,), logits=logits, backbone=backbone)
