"""The stem of a network: its preprocessing and first convolution.

Preprocessing is scaling, shifting and the order of the colors, in layers of
this package (`build.add_preprocessing`) or of the network's own.
"""

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stem:
    """Preprocessing and first convolution of a network.

    Attributes:
        scaling: Names of the operations that only scale, shift or reorder.
        scale: [3], factors of R, G and B.
        offset: [3], added to R, G and B after scaling.
        order: [3], the color (0 is R) in each channel of the convolution.
        layer: The convolution, or the nested model that begins with it.
        convolution: The convolution.
    """

    scaling: frozenset[str]
    scale: np.ndarray
    offset: np.ndarray
    order: np.ndarray
    layer: keras.Layer
    convolution: keras.layers.Conv2D


def read_stem(backbone: backbones.Backbone) -> Stem:
    """Reads a network's preprocessing and finds its first convolution.

    Args:
        backbone: Backbone with its weights, for RGB.

    Raises:
        UsageError: The network does not begin with scaling and one convolution.
    """
    scale, offset, order = np.ones(3), np.zeros(3), np.arange(3)
    scaling = set()
    padded = False
    for operation in _iterate_chain(backbone):
        kind = type(operation).__name__
        if isinstance(operation, keras.layers.ZeroPadding2D):
            padded = True
            continue
        if convolution := _find_first_convolution(operation):
            # The inverse of a permutation: for each color its channel.
            color_order = np.argsort(order)
            return Stem(
                scaling=frozenset(scaling),
                scale=scale[color_order],
                offset=offset[color_order],
                order=order,
                layer=operation,
                convolution=convolution,
            )
        # Scaling after zero padding would move the zeros: not one affine map.
        if padded or kind not in ("Rescaling", "Normalization", "Flip"):
            break
        scaling.add(operation.name)
        if kind == "Flip":
            scale, offset, order = scale[::-1], offset[::-1], order[::-1]
            continue
        factor, added = _read_affine(operation)
        # Affine maps compose: (x · s + o) · f + a = x · (s · f) + (o · f + a).
        scale, offset = scale * factor, offset * factor + added
    raise errors.UsageError(
        f"{backbone.spec.name} cannot take another number of channels: it does "
        "not begin with scaling and one convolution, but with "
        f"{', '.join(each.name for each in backbone.model.operations[:4])}."
    )


def _iterate_chain(backbone: backbones.Backbone) -> Iterator[keras.Operation]:
    """Yields operations from the input on, up to the first branching."""
    tensor = backbone.model.inputs[0]
    while True:
        users = [
            operation
            for operation in backbone.model.operations
            for node in operation._inbound_nodes
            if any(each is tensor for each in node.input_tensors)
        ]
        if len(users) != 1:
            return
        yield users[0]
        tensor = users[0].output


def _find_first_convolution(
    operation: keras.Operation,
) -> keras.layers.Conv2D | None:
    """Returns the convolution that an operation is or starts with."""
    inner = operation
    if isinstance(operation, keras.Sequential):
        inner = operation.layers[0]
    if type(inner) is keras.layers.Conv2D and inner.groups == 1:
        return inner
    return None


def _read_affine(layer: keras.Layer) -> tuple[np.ndarray, np.ndarray]:
    """Returns factor and offset of a scaling layer, for three channels."""
    if isinstance(layer, keras.layers.Rescaling):
        factor, added = layer.scale, layer.offset
    else:
        # Normalization: (x - mean) / max(sqrt(variance), epsilon).
        mean = np.asarray(layer.mean, "float64")
        deviation = np.sqrt(np.asarray(layer.variance, "float64"))
        factor = 1 / np.maximum(deviation, keras.config.epsilon())
        added = -mean * factor
    return tuple(
        np.broadcast_to(np.asarray(each, "float64").ravel(), [3])
        for each in (factor, added)
    )
