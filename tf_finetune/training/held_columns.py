"""Columns of a dense layer that stay as they are while the others train."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np


class HeldColumns(keras.constraints.Constraint):
    """Constraint that gives columns of a kernel or bias their values back.

    An optimizer applies it after every update: without a gradient a column
    still shrinks by weight decay, and some optimizers move every entry of a
    matrix.
    """

    def __init__(self, values: np.ndarray, places: Sequence[int]) -> None:
        """Takes the values to hold.

        Args:
            values: [..., columns].
            places: The columns that are held.
        """
        self._values = values
        self._is_held = np.isin(np.arange(values.shape[-1]), places)

    def __call__(self, w: Any) -> Any:
        """Returns `w` with the values of the held columns."""
        values = keras.ops.convert_to_tensor(self._values, w.dtype)
        return keras.ops.where(self._is_held, values, w)


@contextlib.contextmanager
def hold_columns(
    layer: keras.layers.Dense, places: Sequence[int]
) -> Iterator[None]:
    """Creates a context in which training leaves columns bit-equal.

    The layer's configuration does not change.

    Args:
        layer: A built dense layer with a bias.
        places: The columns that are held at their present values.
    """
    before = [(each, each.constraint) for each in (layer.kernel, layer.bias)]
    for variable, _ in before:
        variable.constraint = HeldColumns(np.array(variable), places)
    try:
        yield
    finally:
        for variable, constraint in before:
            # Moving averages of equal values differ from them by rounding.
            variable.assign(variable.constraint(variable.value))
            variable.constraint = constraint
