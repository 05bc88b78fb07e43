"""Input of an exporter of whole rows: model, columns, parity reference."""

import dataclasses
import pathlib
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.config import model_options, pixel_options
from tf_finetune.data.images import batch_decoding
from tf_finetune.exports.parity import fresh_process

TOLERANCE = 1e-4
"""Allowed difference of predictions, in the job's `unit`.

Larger than for single pictures: sums run over the features of all pictures of a
row, and batch norm is folded in a SavedModel.
"""

PICTURES, NUMBERS, WORDS = "image_bytes", "numbers", "words"
"""Names of a served model's inputs."""

ARRAYS = "images"
"""Name of the input of pictures that are decoded already."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowInputs:
    """Columns of a row: pictures, numbers and words.

    Attributes:
        pictures: The columns of pictures.
        numbers: The columns of numbers.
        words: The columns of words, each once.
        word_prefixes: For each word input of the model, the index of its column
            in `words` and the number of first characters to keep; None: all.
    """

    pictures: tuple[str, ...]
    numbers: tuple[str, ...]
    words: tuple[str, ...]
    word_prefixes: tuple[tuple[int, int | None], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParityReference:
    """Held-out rows and the predictions that an export must reproduce.

    Attributes:
        paths: For each row, the files of its pictures.
        numbers: float32 [rows, numbers], NaN where one is missing.
        words: For each row, in the order of `Inputs.words`.
        values: [rows, targets], the run's predictions for them.
        batch_size: Rows per step of the parity check.
    """

    paths: Sequence[Sequence[str]]
    numbers: np.ndarray
    words: Sequence[Sequence[str]]
    values: np.ndarray
    batch_size: int = 4

    def __post_init__(self) -> None:
        # No rows would make every export pass its check.
        if not self.paths or len(self.paths) != len(self.values):
            raise errors.UsageError(
                "An export is checked on rows with known predictions; got "
                f"{len(self.paths)} rows and {len(self.values)} predictions."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowsJob:
    """One model of whole rows to export.

    Attributes:
        model: As `tasks.regression.fused.build` makes it.
        source: The file that it was read from.
        inputs: The columns of a row.
        names: The names of the targets.
        resize: How pictures become square.
        destination: The folder of exports; for a file also the file itself.
        proof: Predictions that the export must reproduce before it is done.
        unit: [targets] divides differences, see `parity_check.compute_units`.
        name: What a server calls the model.
        measuring_seconds: As in `job.ExportJob`.
        pixels: Likewise.
    """

    model: keras.Model
    source: pathlib.Path
    inputs: RowInputs
    names: tuple[str, ...]
    resize: model_options.Resize
    destination: pathlib.Path
    proof: ParityReference
    unit: np.ndarray
    name: str = "model"
    measuring_seconds: float = 2.0
    pixels: pixel_options.PixelOptions = pixel_options.DEFAULT

    @property
    def image_size(self) -> int:
        """Side of the pictures in pixels."""
        shapes = {each.name: each.shape for each in self.model.inputs}
        return shapes["images"][2]

    def encode_inputs(self) -> dict[str, np.ndarray]:
        """Reads the proof's rows as inputs of a served model, by name.

        Returns:
            `image_bytes` objects [rows, pictures]; where the model has any,
            `numbers` float32 [rows, numbers] and `words` objects [rows,
            words].
        """
        pictures = [
            [pathlib.Path(path).read_bytes() for path in row]
            for row in self.proof.paths
        ]
        found = {PICTURES: _make_object_array(pictures)}
        if self.inputs.numbers:
            found[NUMBERS] = self.proof.numbers.astype("float32")
        if self.inputs.words:
            # Text that is not UTF-8 is surrogates in Python; its bytes go out.
            found[WORDS] = _make_object_array(
                [
                    [word.encode(errors="surrogateescape") for word in row]
                    for row in self.proof.words
                ]
            )
        return found

    def decode_inputs(self) -> dict[str, np.ndarray]:
        """Decodes the proof's rows to inputs of the Keras model, by name.

        Returns:
            `images` float32 [rows, pictures, size, size, 3], 0..255; where
            the model has any, `numbers` float32 [rows, numbers] and `words`
            [rows, words], shortened to their first characters.
        """
        given, size = self.encode_inputs(), self.image_size
        pictures = given[PICTURES]
        flat = batch_decoding.decode_batch(
            tf.constant(pictures.ravel().tolist()),
            image_size=size,
            resize=self.resize,
            pixels=self.pixels,
        )
        # The decoder ran once for the pictures of all rows.
        images = flat.images.numpy()
        found = {"images": images.reshape(*pictures.shape, size, size, 3)}
        if self.inputs.numbers:
            found["numbers"] = given[NUMBERS]
        if self.inputs.words:
            wanted = self.inputs.word_prefixes
            found["words"] = np.array(
                [
                    [row[place][:length] for place, length in wanted]
                    for row in self.proof.words
                ]
            )
        return found


def _make_object_array(rows: Sequence[Sequence[bytes]]) -> np.ndarray:
    flat = fresh_process.make_string_array(
        [each for row in rows for each in row]
    )
    return flat.reshape(len(rows), -1)
