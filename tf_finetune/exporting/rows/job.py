"""What an exporter of whole rows is given."""

import dataclasses
import pathlib
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.config import model_options, pixel_options
from tf_finetune.data.pictures import encoded
from tf_finetune.exporting.proof import fresh

TOLERANCE = 1e-4
"""What predictions may differ by, in the job's `unit`.

More than of a single picture: sums run over the features of all pictures of a
row, and batch norm is folded in a SavedModel.
"""

PICTURES, NUMBERS, WORDS = "image_bytes", "numbers", "words"
"""What the inputs of a served model are called."""

ARRAYS = "images"
"""The same of pictures that are decoded already."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a row consists of.

    Attributes:
        pictures: The columns of pictures.
        numbers: The columns of numbers.
        words: The columns of words, each once.
        beginnings: For each word of the model, its place in `words` and how
            many of its first characters count; None: all.
    """

    pictures: tuple[str, ...]
    numbers: tuple[str, ...]
    words: tuple[str, ...]
    beginnings: tuple[tuple[int, int | None], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proof:
    """Rows with known answers.

    Attributes:
        paths: For each row, its pictures.
        numbers: float32 [rows, numbers], NaN where one is missing.
        words: For each row, as `Inputs.words` has them.
        values: [rows, targets], what the run said of them.
        batch_size: Rows per step while proving.
    """

    paths: Sequence[Sequence[str]]
    numbers: np.ndarray
    words: Sequence[Sequence[str]]
    values: np.ndarray
    batch_size: int = 4

    def __post_init__(self) -> None:
        if not self.paths or len(self.paths) != len(self.values):
            raise errors.UsageError(
                "An export is proven on rows with known predictions; got "
                f"{len(self.paths)} rows and {len(self.values)} predictions."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowsJob:
    """One model of whole rows to export.

    Attributes:
        model: As `tasks.regression.fused.build` makes it.
        source: The file that it was read from.
        inputs: What goes in.
        names: Of the targets.
        resize: How pictures become square.
        destination: The folder of exports; for a file also the file itself.
        proof: What the export must reproduce before it is done.
        unit: [targets] what differences count beside, see `parity.units`.
        name: What a server calls the model.
        measuring_seconds: As in `job.ExportJob`.
        pixels: Likewise.
    """

    model: keras.Model
    source: pathlib.Path
    inputs: Inputs
    names: tuple[str, ...]
    resize: model_options.Resize
    destination: pathlib.Path
    proof: Proof
    unit: np.ndarray
    name: str = "model"
    measuring_seconds: float = 2.0
    pixels: pixel_options.PixelOptions = pixel_options.USUAL

    @property
    def image_size(self) -> int:
        """Side of the pictures in pixels."""
        shapes = {each.name: each.shape for each in self.model.inputs}
        return shapes["images"][2]

    def encoded(self) -> dict[str, np.ndarray]:
        """Reads what a server is sent of the proof's rows, by input.

        Returns:
            `image_bytes` objects [rows, pictures]; where the model has any,
            `numbers` float32 [rows, numbers] and `words` objects [rows,
            words].
        """
        pictures = [
            [pathlib.Path(path).read_bytes() for path in row]
            for row in self.proof.paths
        ]
        found = {PICTURES: _objects(pictures)}
        if self.inputs.numbers:
            found[NUMBERS] = self.proof.numbers.astype("float32")
        if self.inputs.words:
            found[WORDS] = _objects(
                [
                    [word.encode(errors="surrogateescape") for word in row]
                    for row in self.proof.words
                ]
            )
        return found

    def decoded(self) -> dict[str, np.ndarray]:
        """Returns what the model itself takes of the proof's rows, by input.

        Returns:
            `images` float32 [rows, pictures, size, size, 3], 0..255; where
            the model has any, `numbers` float32 [rows, numbers] and `words`
            [rows, words], beginnings cut off.
        """
        given, size = self.encoded(), self.image_size
        pictures = given[PICTURES]
        flat = encoded.decode(
            tf.constant(pictures.ravel().tolist()),
            image_size=size,
            resize=self.resize,
            pixels=self.pixels,
        )
        images = flat.images.numpy()
        found = {"images": images.reshape(*pictures.shape, size, size, 3)}
        if self.inputs.numbers:
            found["numbers"] = given[NUMBERS]
        if self.inputs.words:
            wanted = self.inputs.beginnings
            found["words"] = np.array(
                [
                    [row[place][:length] for place, length in wanted]
                    for row in self.proof.words
                ]
            )
        return found


def _objects(rows: Sequence[Sequence[bytes]]) -> np.ndarray:
    flat = fresh.strings([each for row in rows for each in row])
    return flat.reshape(len(rows), -1)
