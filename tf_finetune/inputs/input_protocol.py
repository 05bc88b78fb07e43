"""Protocol of an input: from a table's cells to the features of a model."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tf_finetune.data.tables import file_locator
from tf_finetune.workdir import json_schema

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Importing an input must not load TensorFlow: tables are read before it starts.


class Encoding(Protocol):
    """Features of one input, fitted on training rows."""

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Encodes values of `Input.stack` as features, float64 [n, width]."""

    def add_layers(self, values: "keras.KerasTensor") -> "keras.KerasTensor":
        """Computes the same features in a graph of plain Keras."""


class Input(Protocol):
    """One input of a model: its columns, values, encodings and fields.

    Attributes:
        name: Of its `keras.Input`.
        field: Of its values in a request, and of its widgets on the page.
        columns: The table's columns that a request gives values of, in order.
        block: Inputs of one block are solved together.
        standardized: Whether the solver standardizes the features.
        kind: Schema of one value as JSON; null stands for NaN.
    """

    name: str
    field: str
    columns: tuple[str, ...]
    block: str
    standardized: bool
    kind: json_schema.Kind

    def read(
        self, cells: Mapping[str, str], where: str, files: file_locator.Locator
    ) -> tuple[Any, ...]:
        """Returns the value of each of `columns` in a row of a table.

        Args:
            cells: Text by column.
            where: Names the row in messages: "x.csv, line 3".
            files: Finds files that the row names.

        Raises:
            DataError: A cell is not such a value.
        """

    def stack(self, rows: Sequence[tuple[Any, ...]]) -> np.ndarray:
        """Returns the values that the model takes, [n, …], of rows' values."""

    def stack_request(self, rows: Sequence[tuple[Any, ...]]) -> np.ndarray:
        """Returns the values that a request sends, [n, columns]."""

    def check(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Raises `DataError` for values that a model cannot tell apart."""

    def fit_encodings(self, values: np.ndarray) -> "list[Encoding]":
        """Fits the encodings to be compared, the plainest first."""

    def name_parts(self, width: int) -> dict[str, slice]:
        """Returns the features that are solved by themselves, by name.

        Args:
            width: Of the features of its block.
        """

    def build(self, image_size: int) -> "keras.KerasTensor":
        """Returns the `keras.Input`."""

    def spec(self, image_size: int) -> "tf.TensorSpec":
        """Returns the field of a request."""

    def take(self, given: "tf.Tensor") -> "tf.Tensor":
        """Computes the model's values of a request's, in a graph."""
