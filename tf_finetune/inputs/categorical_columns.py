"""Input of columns of words, one-hot encoded; zipcode:3 takes beginnings."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data.tables import file_locator
from tf_finetune.inputs import numeric_columns
from tf_finetune.workdir import json_schema

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Values of a one-hot word that are tried. A feature of 2 needs half the
# coefficient, so that a quadratic penalty weighs it a quarter as much.
_WEIGHTS = (1.0, 2.0, 4.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordEncoding:
    """One-hot encoding of words; one not seen in training is all zeros.

    Attributes:
        words: For each column, the words seen in training, sorted.
        weight: Value of the feature of a word that is present.
    """

    words: tuple[tuple[str, ...], ...]
    weight: float

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Encodes words as one-hot features, in NumPy.

        Args:
            values: [n, columns] strings, as `CategoricalColumns.stack`
                returns them.

        Returns:
            float64 [n, width], one feature per known word of each column.
        """
        hits = [
            column[:, np.newaxis] == np.array(seen, object)
            for column, seen in zip(values.T, self.words, strict=True)
        ]
        return self.weight * np.concatenate(hits, axis=1).astype("float64")

    def add_layers(self, values: "keras.KerasTensor") -> "keras.KerasTensor":
        """Adds layers that encode strings [batch, columns] as `encode` does."""
        import keras

        hits = []
        for place, seen in enumerate(self.words):
            lookup = keras.layers.StringLookup(
                vocabulary=list(seen),
                output_mode="one_hot",
                name=f"word_{place}",
            )
            # The first feature is that of words not seen in training.
            hits.append(lookup(values[:, place : place + 1])[:, 1:])
        joined = keras.ops.concatenate(hits, axis=1) if hits[1:] else hits[0]
        return keras.layers.Rescaling(self.weight, name="word_weight")(joined)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CategoricalColumns:
    """Input of words: text columns of a table beside the pictures.

    Attributes:
        columns: Names of the table columns, each once, as in requests.
        prefixes: For each entry of --categorical_columns, a column of the
            model: the index of its table column in `columns` and the number of
            first characters to keep (None: all).
    """

    columns: tuple[str, ...]
    prefixes: tuple[tuple[int, int | None], ...]

    name, field, standardized = "words", "words", False
    block = numeric_columns.BLOCK
    kind = json_schema.Text(longest=10_000)

    def read(
        self, cells: Mapping[str, str], where: str, files: file_locator.Locator
    ) -> tuple[str, ...]:
        """Reads the words of a row uncut, one of each of `columns`, stripped.

        Args:
            cells: Text by column.
            where: Names the row in messages.
            files: Not used.

        Raises:
            DataError: The characters that are kept of a word are not UTF-8.
        """
        words = tuple(cells[column].strip() for column in self.columns)
        for place, length in self.prefixes:
            try:
                words[place][:length].encode()
            except UnicodeEncodeError as error:
                raise errors.DataError(
                    f"{where}: the word {self.columns[place]!r} is "
                    f"{words[place]!r}, which is not UTF-8."
                ) from error
        return words

    def stack(self, rows: Sequence[tuple[str, ...]]) -> np.ndarray:
        """Stacks words, each cut to the number of characters in `prefixes`.

        Returns an object array [n, columns of the model] of strings.
        """
        kept = [
            [row[p][:length] for p, length in self.prefixes] for row in rows
        ]
        # Objects: NumPy's own strings would be cut to the longest one.
        return np.array(kept, object).reshape(len(rows), len(self.prefixes))

    def stack_request(self, rows: Sequence[tuple[str, ...]]) -> np.ndarray:
        """Stacks whole words as bytes, object array [n, columns]."""
        # Text that is not UTF-8 is surrogates in Python; its bytes go out.
        sent = [
            [w.encode(errors="surrogateescape") for w in row] for row in rows
        ]
        return np.array(sent, object).reshape(len(rows), len(self.columns))

    def check(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Does nothing: all words can be distinguished."""

    def fit_encodings(self, values: np.ndarray) -> list[WordEncoding]:
        """Fits one-hot encodings of the words, to be compared on validation.

        They share the vocabulary, the words seen in training, and differ in
        the value of the feature of a word that is present: 1, 2 and 4. A larger
        value makes the penalty on the head's weights weaker.

        Args:
            values: [n, columns] strings of the training rows, as `stack`
                returns them.

        Returns:
            One encoding per value, ascending.
        """
        seen = tuple(tuple(sorted(set(column))) for column in values.T)
        return [WordEncoding(words=seen, weight=each) for each in _WEIGHTS]

    def name_parts(self, width: int) -> dict[str, slice]:
        """Returns {"columns": slice(0, width)}: one head on all features."""
        return {self.block: slice(0, width)}

    def build(self, image_size: int) -> "keras.KerasTensor":
        """Creates the Keras input, string [batch, columns of the model]."""
        import keras

        return keras.Input([len(self.prefixes)], name=self.name, dtype="string")

    def spec(self, image_size: int) -> "tf.TensorSpec":
        """Describes the request's tensor, string [batch, columns]."""
        import tensorflow as tf

        shape = [None, len(self.columns)]
        return tf.TensorSpec(shape, tf.string, name=self.field)

    def take(self, given: "tf.Tensor") -> "tf.Tensor":
        """Cuts words [batch, columns] to the characters the model reads.

        Returns string [batch, columns of the model].
        """
        import tensorflow as tf

        # By characters, as `stack` cuts in Python.
        kept = [
            given[:, place]
            if length is None
            else tf.strings.substr(given[:, place], 0, length, "UTF8_CHAR")
            for place, length in self.prefixes
        ]
        return tf.stack(kept, axis=1)


def make_input(options: data_options.DataOptions) -> CategoricalColumns | None:
    """Builds the input of `--categorical_columns`; None without any."""
    parts = [data_options.split_prefix(e) for e in options.categorical_columns]
    columns = tuple(dict.fromkeys(name for name, _ in parts))
    if not columns:
        return None
    return CategoricalColumns(
        columns=columns,
        prefixes=tuple((columns.index(name), length) for name, length in parts),
    )
