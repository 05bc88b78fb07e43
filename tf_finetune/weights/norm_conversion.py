"""Conversion of biases and epsilons that a file and a model do not share.

Behind a convolution with the bias b, batch norm computes
γ (Wx + b - μ) / √(v + ε) + β, which is that of Wx alone with the mean μ - b.
Where a file's ε is not the model's, γ takes √((v + ε_model) / (v + ε_file)),
so that the statistics stay those of the activations. Outputs stay the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tf_finetune import errors
from tf_finetune.weights import layer_matching

Pairs = Sequence[tuple[layer_matching.Unit, layer_matching.Entry]]


def convert_arrays(
    model: Any,
    pairs: Pairs,
    arrays: dict[int, np.ndarray],
    *,
    epsilon_of: Callable[[layer_matching.Entry], float | None],
) -> tuple[str, ...]:
    """Converts the file's arrays into those of the matched model layers.

    Biases that the model lacks move into batch norms, and batch norms are
    adapted to the model's epsilon; outputs stay the same. Nothing is assigned.

    Args:
        model: Keras model; its graph tells which batch norm follows which
            convolution.
        pairs: Layers of the model with those of the file.
        arrays: The file's arrays by the id of the model's variable; changed in
            place, to float64 where something is computed.
        epsilon_of: Returns the epsilon of a batch norm in the file; None where
            the file does not say.

    Returns:
        The conversions, as whole sentences.

    Raises:
        RunError: A bias that is not 0 has no batch norm behind it, or an
            epsilon cannot be carried over.
    """
    biases: dict[int, tuple[str, np.ndarray]] = {}
    dropped = added = 0
    for unit, entry in pairs:
        if len(entry.arrays) > len(unit.variables):
            bias = entry.arrays[-1]
            if np.any(bias):
                biases[id(unit.layer)] = (entry.label, bias)
            else:
                dropped += 1
        elif len(unit.variables) > len(entry.arrays):
            variable = unit.variables[-1]
            arrays[id(variable)] = np.zeros(tuple(variable.shape), "float32")
            added += 1
    notes = _move_biases(model, pairs, arrays, biases)
    notes += _convert_epsilons(pairs, arrays, epsilon_of)
    if dropped:
        notes.append(
            f"Left out: {_format_count(dropped, 'bias', 'biases')} of 0 that "
            "the model has no place for."
        )
    if added:
        notes.append(
            "The file has no bias in "
            f"{_format_count(added, 'layer', 'layers')} where the model has "
            "one: it is 0 there."
        )
    return tuple(notes)


def _move_biases(
    model: Any,
    pairs: Pairs,
    arrays: dict[int, np.ndarray],
    biases: dict[int, tuple[str, np.ndarray]],
) -> list[str]:
    if not biases:
        return []
    norms = _find_norms_behind(model)
    matched = {id(unit.layer) for unit, _ in pairs}
    for layer, (label, bias) in biases.items():
        norm = norms.get(layer)
        if norm is None or id(norm) not in matched:
            raise errors.RunError(
                f"The layer {label!r} in the file has a bias, which the model "
                "has no place for: no batch norm with weights of the file "
                "stands behind it. The weights are those of another network; "
                "check --backbone and --weights."
            )
        mean = id(norm.moving_mean)
        # μ - b; see the derivation above.
        arrays[mean] = arrays[mean].astype("float64") - bias
    return [
        f"{_format_count(len(biases), 'bias', 'biases')} beside kernels, which "
        "the model does not have, moved into the moving means of the batch "
        "norms behind them."
    ]


def _convert_epsilons(
    pairs: Pairs,
    arrays: dict[int, np.ndarray],
    epsilon_of: Callable[[layer_matching.Entry], float | None],
) -> list[str]:
    moved: dict[tuple[float, float], int] = {}
    for unit, entry in pairs:
        if type(unit.layer).__name__ != "BatchNormalization":
            continue
        theirs, ours = epsilon_of(entry), float(unit.layer.epsilon)
        if theirs is None or np.isclose(theirs, ours, rtol=1e-6, atol=0):
            continue
        _convert_epsilon(unit.layer, arrays, theirs, ours, entry.label)
        moved[theirs, ours] = moved.get((theirs, ours), 0) + 1
    return [
        f"{_format_count(count, 'batch norm', 'batch norms')} of the file with "
        f"the epsilon {theirs:g} were adapted to the model's, {ours:g}."
        for (theirs, ours), count in moved.items()
    ]


def _convert_epsilon(
    norm: Any,
    arrays: dict[int, np.ndarray],
    theirs: float,
    ours: float,
    label: str,
) -> None:
    variance = arrays[id(norm.moving_variance)].astype("float64")
    if norm.gamma is not None:
        gamma = id(norm.gamma)
        # γ √((v + ε_model) / (v + ε_file))
        ratio = np.sqrt((variance + ours) / (variance + theirs))
        arrays[gamma] = arrays[gamma].astype("float64") * ratio
        return
    # Without γ: v' + ε_model = v + ε_file, if v' is not negative.
    moved = variance + theirs - ours
    if np.any(moved < 0):
        raise errors.RunError(
            f"The batch norm {label!r} in the file has the epsilon {theirs:g}, "
            f"the model's has {ours:g}, no scale, and a variance too small to "
            "take the difference. The weights are those of another network; "
            "check --backbone and --weights."
        )
    arrays[id(norm.moving_variance)] = moved


def _format_count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _find_norms_behind(model: Any) -> dict[int, Any]:
    """Returns the batch norm that alone reads a layer's output, by id(layer).

    Args:
        model: Nested models are searched too.
    """
    # Layers by id(layer) of the one whose output they read.
    readers: dict[int, set[Any]] = {}
    # `_inbound_nodes` has one node for each call of an operation.
    for operation in _list_operations(model):
        for node in operation._inbound_nodes:
            for tensor in node.input_tensors:
                before = tensor._keras_history.operation
                readers.setdefault(id(before), set()).add(operation)
    return {
        before: norm
        for before, (norm, *others) in readers.items()
        if not others and type(norm).__name__ == "BatchNormalization"
    }


def _list_operations(model: Any) -> list[Any]:
    found = []
    for operation in model.operations:
        found.append(operation)
        if getattr(operation, "layers", None):
            found += _list_operations(operation)
    return found
