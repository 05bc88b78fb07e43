"""Copies of weights, and their assignment to variables.

The networks of a run share their layers: an assignment to one changes all.
"""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np


def copy_values(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    """Copies the values of variables, in their order."""
    # Not `asarray`, which may be a view of memory that is assigned to later.
    return [np.array(variable) for variable in variables]


def assign_values(
    variables: Sequence[keras.Variable], values: Sequence[np.ndarray]
) -> None:
    """Assigns values to variables.

    Args:
        variables: Of a model or a layer, as `weights` lists them.
        values: One each, in the same order.
    """
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@contextlib.contextmanager
def keep_values(variables: Sequence[keras.Variable]) -> Iterator[None]:
    """Gives variables their present values again after the block."""
    before = copy_values(variables)
    try:
        yield
    finally:
        assign_values(variables, before)
