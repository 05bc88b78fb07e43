"""State dicts of torchvision's networks, made from Keras backbones.

The inverse of `matching`, by the same rules for names and layouts.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tf_finetune.weights.torch import families, layer_arrays, matching


def build_state_dict(
    layers: Sequence[Any],
    family: families.Family,
    *,
    epsilon: float | None = None,
) -> dict[str, np.ndarray]:
    """Builds the arrays of a backbone as torchvision's state dict names them.

    Args:
        layers: The layers of the backbone that have weights.
        family: Rules that map layers to modules.
        epsilon: Of torchvision's batch norms, where it is at most that of the
            layers; the difference is added to the variances. None: the same as
            that of the layers.

    Returns:
        Arrays by name in PyTorch's layouts, float32; beside each batch norm
        its "num_batches_tracked", int64 of shape [], which is 0.

    Raises:
        RunError: A layer has no place in torchvision's network.
    """
    modules = matching.name_modules(layers, family)
    found = {}
    for layer in layers:
        module = modules[layer.name]
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        for part, variable in zip(
            layer_arrays.list_parts(layer), layer.weights, strict=True
        ):
            value = layer_arrays.restore_array(np.asarray(variable), layer)
            if part == "running_var" and epsilon is not None:
                # v + ε = (v + ε - ε') + ε'
                value = value + np.float32(layer.epsilon - epsilon)
            found[matching.join_name(module, part)] = value
        if is_norm:
            # Strict loading in PyTorch asks for it.
            name = matching.join_name(module, "num_batches_tracked")
            found[name] = np.zeros([], "int64")
    return found
