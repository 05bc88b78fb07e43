"""Match of a PyTorch file's arrays with a backbone's variables, all or none.

Nothing may be left over on either side but the file's classifier: a network
that fits only in part is another one.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_finetune import errors
from tf_finetune.weights import merge_report
from tf_finetune.weights.torch import families, layer_arrays, reader

_IGNORED = ("num_batches_tracked",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Match:
    """Value from a PyTorch file for every variable of a backbone.

    Attributes:
        values: Pairs of a variable and its value in Keras' layout, float32.
        modules: Module in the file by the name of the layer.
        top: Names of the file's classifier arrays, sorted; they are not used.
    """

    values: tuple[tuple[Any, np.ndarray], ...]
    modules: Mapping[str, str]
    top: tuple[str, ...]


def match_arrays(
    model: keras.Model, family: families.Family, file: reader.StateDict
) -> Match:
    """Matches every variable of a backbone with an array of a PyTorch file.

    Arrays of the file's classifier are not used, and `num_batches_tracked` is
    ignored; any other array must belong to a layer of the model.

    Args:
        model: Keras backbone without a classifier; it is not changed.
        family: Rules that map its layers to modules of the file.
        file: The state dict that was read.

    Returns:
        The value of each variable, converted to Keras' layout, the module of
        each layer, and the names of the classifier's arrays.

    Raises:
        RunError: An array is missing, has another shape or is not finite; one
            belongs neither to a layer nor to the classifier; or the variances
            of a batch norm are all zero or one is negative.
    """
    layers = list(layer_arrays.iterate_layers(model))
    arrays = {
        name: array
        for name, array in file.arrays.items()
        if not name.endswith(_IGNORED)
    }
    # The last norm of ConvNeXt is needed, though it lies in `classifier.0`.
    top = {
        name
        for name in arrays
        if name.startswith(family.tops) and name not in family.needed
    }
    modules = name_modules(layers, family)
    wanted = {
        join_name(modules[layer.name], part): (layer, variable)
        for layer in layers
        for part, variable in zip(
            layer_arrays.list_parts(layer), layer.weights, strict=True
        )
    }
    _check_names(wanted, arrays, top)
    return Match(
        values=tuple(
            (variable, _convert(name, arrays[name], layer, variable))
            for name, (layer, variable) in wanted.items()
        ),
        modules=modules,
        top=tuple(sorted(top)),
    )


def name_modules(
    layers: Sequence[Any], family: families.Family
) -> dict[str, str]:
    """Names the module in PyTorch's files that belongs to each layer.

    Args:
        layers: The layers of a backbone that have weights.
        family: Rules of its family.

    Returns:
        Module by the name of the layer, in the order of `layers`, or of their
        creation where the family lists its modules.

    Raises:
        RunError: A layer has no place in PyTorch's files.
    """
    if family.modules:
        return _match_by_order(layers, family.modules)
    found = {}
    for layer in layers:
        module = families.find_module(family, layer.name)
        if module is None:
            raise errors.RunError(
                f"The layer {layer.name!r} has no place in PyTorch's files."
            )
        found[layer.name] = module
    return found


def _match_by_order(
    layers: Sequence[Any], modules: Sequence[str]
) -> dict[str, str]:
    """Matches the k-th convolution and the k-th norm with the k-th module."""
    # Keras sorts the layers of parallel branches by depth in the graph, not by
    # the order in which they were built.
    layers = layer_arrays.sort_by_creation(layers)
    kernels = [each for each in layers if layer_arrays.has_kernel(each)]
    norms = [each for each in layers if not layer_arrays.has_kernel(each)]
    if not len(kernels) == len(norms) == len(modules):
        raise errors.RunError(
            f"the backbone has {len(kernels)} convolutions and {len(norms)} "
            f"batch norms, and PyTorch's network {len(modules)} of each"
        )
    named = {}
    for part, found in (("conv", kernels), ("bn", norms)):
        for layer, module in zip(found, modules, strict=True):
            named[layer.name] = f"{module}.{part}"
    return named


def join_name(module: str, part: str) -> str:
    """Returns the name of an array: "bn1.weight"; `module` for no part."""
    return f"{module}.{part}" if part else module


def _check_names(
    wanted: Collection[str],
    arrays: Mapping[str, np.ndarray],
    top: Collection[str],
) -> None:
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise errors.RunError(
            f"it lacks {len(missing)} of {len(wanted)} arrays: "
            f"{merge_report.join_names(missing, shown=3)}"
        )
    unused = [
        f"{name} {list(array.shape)}"
        for name, array in arrays.items()
        if name not in wanted and name not in top
    ]
    if unused:
        raise errors.RunError(
            f"{len(unused)} of its arrays belong to no layer of the backbone "
            f"and to no classifier: {merge_report.join_names(unused, shown=3)}"
        )


def _convert(
    name: str, array: np.ndarray, layer: Any, variable: Any
) -> np.ndarray:
    """Returns an array in a variable's layout, checked."""
    value = layer_arrays.convert_array(array, layer, variable)
    if value.shape != tuple(variable.shape):
        raise errors.RunError(
            f"{name} is {list(array.shape)}, which does not fit the layer "
            f"{layer.name!r}, {list(variable.shape)} in Keras' order"
        )
    if not np.isfinite(value).all():
        raise errors.RunError(f"{name} holds NaN or infinite values")
    # Some zeros are channels that never change: EfficientNet-Lite0's published
    # file has 130 of them.
    is_variance = name.endswith(".running_var")
    if is_variance and ((value < 0).any() or not value.any()):
        raise errors.RunError(f"{name} holds variances that are not positive")
    return value
