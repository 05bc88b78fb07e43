"""Input of the pictures of a row: one, or several of as many columns."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tf_finetune.config import data_options
from tf_finetune.data.tables import file_locator
from tf_finetune.workdir import json_schema

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

NAME = "images"
BLOCK = "pictures"
# Of the name of the part that sees the pictures of all places.
_JOINED = "all_pictures"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureEncoding:
    """Features that a network computes of each picture of a row, concatenated.

    Attributes:
        extractor: Model of one picture → features [batch, width]; None: values
            are features already, from the feature cache.
    """

    extractor: "keras.Model | None" = None

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Returns cached features [n, pictures · width] as they are."""
        return values

    def add_layers(self, values: "keras.KerasTensor") -> "keras.KerasTensor":
        """Adds the network, applied to each picture of a row.

        Args:
            values: [batch, pictures, size, size, 3].

        Returns:
            [batch, pictures · width].
        """
        import keras

        return keras.layers.Flatten(name="joined_features")(
            apply_to_pictures(self.extractor, values)
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pictures:
    """Input of the pictures of a row, whose values are their paths.

    A head is solved on the pictures of each column, and one on all together.

    Attributes:
        columns: Names of the table columns, of --image_column.
    """

    columns: tuple[str, ...]

    name, field, block, standardized = NAME, "image_bytes", BLOCK, True
    kind = json_schema.Text(longest=10_000)

    def read(
        self, cells: Mapping[str, str], where: str, files: file_locator.Locator
    ) -> tuple[str, ...]:
        """Finds the picture files of a row; returns their paths.

        Args:
            cells: Text by column.
            where: Not used.
            files: Finds the files that cells name.
        """
        return tuple(files.find(cells[column]) for column in self.columns)

    def stack(self, rows: Sequence[tuple[str, ...]]) -> np.ndarray:
        """Stacks paths as an object array [n, pictures]; nothing is decoded."""
        return np.array(rows, object).reshape(len(rows), len(self.columns))

    def stack_request(self, rows: Sequence[tuple[str, ...]]) -> np.ndarray:
        """Reads the files into an object array [n, pictures] of bytes."""
        # Objects: NumPy's own bytes would lose zeros at the end.
        found = np.empty([len(rows), len(self.columns)], object)
        for row, column in np.ndindex(found.shape):
            found[row, column] = pathlib.Path(rows[row][column]).read_bytes()
        return found

    def check(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Does nothing: pictures are decoded and checked before training."""

    def fit_encodings(self, values: np.ndarray) -> list[PictureEncoding]:
        """Returns one encoding that takes cached features as they are."""
        return [PictureEncoding()]

    def name_parts(self, width: int) -> dict[str, slice]:
        """Returns where the features of each picture column are, by its name.

        `width` is the number of features of all columns together, which share
        it evenly. Of several columns, "all_pictures" has the whole of it.
        """
        each = width // len(self.columns)
        found = {
            column: slice(place * each, (place + 1) * each)
            for place, column in enumerate(self.columns)
        }
        if len(found) > 1:
            found[_JOINED] = slice(0, width)
        return found

    def build(self, image_size: int) -> "keras.KerasTensor":
        """Creates the Keras input, float32 [batch, pictures, size, size, 3].

        Pixels are RGB 0..255.
        """
        import keras

        shape = [len(self.columns), image_size, image_size, 3]
        return keras.Input(shape, name=self.name)

    def spec(self, image_size: int) -> "tf.TensorSpec":
        """Describes the request's picture files, string [batch, pictures]."""
        import tensorflow as tf

        shape = [None, len(self.columns)]
        return tf.TensorSpec(shape, tf.string, name=self.field)

    def take(self, given: "tf.Tensor") -> "tf.Tensor":
        """Returns the decoded pictures of a request as they are."""
        return given


def make_input(options: data_options.DataOptions) -> Pictures:
    """Builds the input of `--image_column`."""
    return Pictures(columns=options.image_column)


def apply_to_pictures(
    model: "keras.Model", images: "keras.KerasTensor"
) -> "keras.KerasTensor":
    """Applies a model of one picture to each picture of a row, in inference.

    Args:
        model: [batch, size, size, 3] → [batch, outputs].
        images: [batch, pictures, size, size, 3].

    Returns:
        [batch, pictures, outputs].
    """
    import keras

    # Pictures become the batch, so that any model of one picture works.
    count, *shape = images.shape[1:]
    single = keras.ops.reshape(images, [-1, *shape])
    answers = model(single, training=False)
    return keras.ops.reshape(answers, [-1, count, answers.shape[-1]])
