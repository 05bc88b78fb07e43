"""Protocol of an input: from a table's cells to the features of a model.

The inputs of this package are listed here by name.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tf_finetune import registry
from tf_finetune.config import data_options
from tf_finetune.data.tables import file_locator
from tf_finetune.inputs import pictures
from tf_finetune.workdir import json_schema

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Importing an input must not load TensorFlow: tables are read before it starts.


class Encoding(Protocol):
    """Function from an input's values to features, fitted on training rows.

    It has two equal implementations: in NumPy, to solve heads, and in Keras.
    """

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Computes the features of values, in NumPy.

        Args:
            values: [n, …], as `Input.stack` returns them.

        Returns:
            float64 [n, width].
        """

    def add_layers(self, values: "keras.KerasTensor") -> "keras.KerasTensor":
        """Adds Keras layers that compute the same features in a model.

        Args:
            values: [batch, …], the `keras.Input` of `Input.build`.

        Returns:
            float32 [batch, width].
        """


class Input(Protocol):
    """Protocol of one input of a model: columns, values and encodings.

    Attributes:
        name: Name of its `keras.Input`.
        field: Name of its values in a request, and of its widgets on the page.
        columns: Table columns that a request gives values of, in order.
        block: Name shared by inputs whose features are concatenated, so that
            one head is solved on them.
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
        """Reads the value of each of `columns` from a line of a table.

        Args:
            cells: Text by column.
            where: Names the row in messages: "x.csv, line 3".
            files: Finds files that the row names.

        Raises:
            DataError: A cell is not such a value.
        """

    def stack(self, rows: Sequence[tuple[Any, ...]]) -> np.ndarray:
        """Stacks the values of n rows into the array that the model takes.

        Args:
            rows: For each row its values, as `read` returned them.

        Returns:
            [n, …].
        """

    def stack_request(self, rows: Sequence[tuple[Any, ...]]) -> np.ndarray:
        """Stacks the values of n rows as a request to a server sends them.

        Args:
            rows: For each row its values, as `read` returned them.

        Returns:
            [n, columns].
        """

    def check(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Checks that a model can distinguish the values of n rows.

        Args:
            rows: For each row its values, as `read` returned them.

        Raises:
            DataError: Values lie too close together.
        """

    def fit_encodings(self, values: np.ndarray) -> "list[Encoding]":
        """Fits the encodings to be compared, the plainest first.

        Args:
            values: [n, …] of the training rows, as `stack` returns them.
        """

    def name_parts(self, width: int) -> dict[str, slice]:
        """Names the slices of features that get a head of their own.

        Args:
            width: Number of features of all inputs of its `block`.

        Returns:
            Name of the head → the slice of its features.
        """

    def build(self, image_size: int) -> "keras.KerasTensor":
        """Creates the `keras.Input` of these values.

        Args:
            image_size: Side of the model's square pictures in pixels.
        """

    def spec(self, image_size: int) -> "tf.TensorSpec":
        """Describes the tensor of the request field, [batch, columns].

        Args:
            image_size: Side of the model's square pictures in pixels.
        """

    def take(self, given: "tf.Tensor") -> "tf.Tensor":
        """Converts the values of a request to those of the model, in a graph.

        Args:
            given: [batch, columns], as `spec` describes it; pictures are
                decoded already.

        Returns:
            [batch, …], as `build` takes them.
        """


INPUTS = registry.Registry(
    "input",
    {
        "pictures": "tf_finetune.inputs.pictures:make_input",
        "numbers": "tf_finetune.inputs.numeric_columns:make_input",
        "words": "tf_finetune.inputs.categorical_columns:make_input",
    },
)


def list_inputs(
    options: data_options.DataOptions,
) -> tuple[Input, ...]:
    """Lists the inputs of a run on table rows, pictures first.

    Args:
        options: The columns of pictures, numbers and words.

    Returns:
        Empty where the model takes single pictures.
    """
    if not options.takes_rows:
        return ()
    # Each makes an input of the options, or None where they name no column.
    made = [INPUTS.get(name)(options) for name in INPUTS.names()]
    found = [each for each in made if each is not None]
    # Pictures come first: the other fields of a request stand beside them.
    return tuple(sorted(found, key=lambda each: each.block != pictures.BLOCK))
