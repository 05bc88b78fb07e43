"""A SavedModel of whole rows: encoded pictures, numbers and words in."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import files
from tf_finetune.config import model_options
from tf_finetune.data import encoded
from tf_finetune.exporting import (
    fresh,
    layout,
    parity,
    saved_proto,
    signatures,
    staging,
)

COLUMNS = "columns.json"
"""In the `assets/`: what each place of an input is."""

# The exported graph is the saved one; decoding and rounding remain.
_TOLERANCE = 1e-4


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
    """

    paths: Sequence[Sequence[str]]
    numbers: np.ndarray
    words: Sequence[Sequence[str]]
    values: np.ndarray


def write(
    model: keras.Model,
    inputs: Inputs,
    proof: Proof,
    *,
    names: Sequence[str],
    resize: model_options.Resize,
    destination: pathlib.Path,
    unit: np.ndarray,
) -> pathlib.Path:
    """Writes the next version directory and proves it; returns the directory.

    Signatures, each for a batch:
        serving_default: `image_bytes`, string [batch, pictures]; where there
            are any, `numbers`, float32 [batch, numbers], NaN where one is
            missing, and `words`, string [batch, words] → `values`, float32
            [batch, targets], and `error`, string [batch]: empty, or what is
            wrong with a picture; `values` are 0 then. `assets/columns.json`
            says which place is which column.
        regress, where there is one target: `inputs`, string [batch],
            Examples with the same features → `outputs` [batch, 1], as
            TensorFlow Serving's Regress asks for.

    Args:
        model: As `fused.build` makes it.
        inputs: What goes in.
        proof: What it must reproduce.
        names: Of the targets.
        resize: How pictures become square.
        destination: The folder of versions.
        unit: [targets] what differences count beside.

    Raises:
        RunError: It computes something else; nothing is left of it.
    """
    folder = pathlib.Path(destination)
    with (
        staging.locked(folder, names=(staging.VERSION, layout.PARITY)),
        staging.new_version(folder) as (temporary, version),
    ):
        _save(model, inputs, names, resize, temporary)
        figures = _proven(temporary, version, proof, unit)
        parity.record(folder / version, figures)
    return folder / version


class _Served(tf.Module):
    """Weights, names and functions."""

    def __init__(
        self,
        model: keras.Model,
        inputs: Inputs,
        names: Sequence[str],
        resize: model_options.Resize,
        assets: Sequence[pathlib.Path],
    ) -> None:
        super().__init__()
        self.fused = model
        self.assets = [tf.saved_model.Asset(str(each)) for each in assets]
        self.functions = _functions(model, inputs, names, resize)


def _save(
    model: keras.Model,
    inputs: Inputs,
    names: Sequence[str],
    resize: model_options.Resize,
    folder: pathlib.Path,
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        labels = pathlib.Path(scratch) / layout.LABELS
        files.write_text(labels, "".join(f"{name}\n" for name in names))
        columns = pathlib.Path(scratch) / COLUMNS
        files.write_json(
            columns,
            {
                "image_bytes": list(inputs.pictures),
                "numbers": list(inputs.numbers),
                "words": list(inputs.words),
                "values": list(names),
            },
        )
        served = _Served(model, inputs, names, resize, [labels, columns])
        tf.saved_model.save(served, str(folder), signatures=served.functions)
    saved_proto.complete(folder, signatures.METHODS)


def _functions(
    model: keras.Model,
    inputs: Inputs,
    names: Sequence[str],
    resize: model_options.Resize,
) -> dict[str, Any]:
    shapes = {each.name: each.shape for each in model.inputs}
    count, size = len(inputs.pictures), shapes["images"][2]
    specs = _specs(inputs)

    def answer(given: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        flat = tf.reshape(given["image_bytes"], [-1])
        decoded = encoded.decode(flat, image_size=size, resize=resize)
        faults = tf.reshape(decoded.errors, [-1, count])
        error = tf.strings.reduce_join(faults, axis=1)
        rows = {
            "images": tf.reshape(decoded.images, [-1, count, size, size, 3])
        }
        if inputs.numbers:
            rows["numbers"] = given["numbers"]
        if inputs.words:
            rows["words"] = _beginnings(given["words"], inputs.beginnings)
        values = model(rows, training=False)
        good = tf.reshape(error == "", [-1, 1])
        return {
            "values": tf.where(good, values, tf.zeros_like(values)),
            "error": error,
        }

    def serve(**given: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(given)

    def regress(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        features = {
            name: tf.io.FixedLenFeature(each.shape[1:], each.dtype)
            for name, each in specs.items()
        }
        given = tf.io.parse_example(inputs, features)
        return {"outputs": answer(given)["values"]}

    # Without autograph, which would look into Keras' layers.
    function = tf.function(serve, autograph=False)
    found = {signatures.BYTES: function.get_concrete_function(**specs)}
    if len(names) == 1:
        strings = tf.TensorSpec([None], tf.string, name="inputs")
        function = tf.function(regress, autograph=False)
        found[signatures.REGRESS] = function.get_concrete_function(strings)
    return found


def _specs(inputs: Inputs) -> dict[str, tf.TensorSpec]:
    specs = {"image_bytes": (len(inputs.pictures), tf.string)}
    if inputs.numbers:
        specs["numbers"] = (len(inputs.numbers), tf.float32)
    if inputs.words:
        specs["words"] = (len(inputs.words), tf.string)
    return {
        name: tf.TensorSpec([None, count], kind, name=name)
        for name, (count, kind) in specs.items()
    }


def _beginnings(
    words: tf.Tensor, wanted: Sequence[tuple[int, int | None]]
) -> tf.Tensor:
    columns = [
        words[:, place]
        if length is None
        else tf.strings.substr(words[:, place], 0, length, unit="UTF8_CHAR")
        for place, length in wanted
    ]
    return tf.stack(columns, axis=1)


def _proven(
    folder: pathlib.Path, version: str, proof: Proof, unit: np.ndarray
) -> dict[str, Any]:
    """Asks every signature in a process of its own about the proof's rows."""
    contents = [
        [pathlib.Path(path).read_bytes() for path in row] for row in proof.paths
    ]
    given: dict[str, np.ndarray] = {"image_bytes": _strings(contents)}
    if proof.numbers.shape[1]:
        given["numbers"] = proof.numbers.astype("float32")
    if proof.words and proof.words[0]:
        given["words"] = _strings(
            [[word.encode() for word in row] for row in proof.words]
        )
    examples = fresh.strings(
        [
            _example({name: each[row] for name, each in given.items()})
            for row in range(len(contents))
        ]
    )
    asked = {f"{signatures.BYTES}/{name}": e for name, e in given.items()}
    if signatures.REGRESS in saved_proto.methods(folder):
        asked[f"{signatures.REGRESS}/inputs"] = examples
    answers = fresh.run(
        fresh.RUNTIMES / "saved_model.py",
        folder,
        asked | {"batch_size": np.array(4)},
    )
    figures: dict[str, Any] = {
        "pictures": sum(map(len, contents)),
        "rows": len(contents),
        "tolerance": _TOLERANCE,
    }
    for key, got in answers.items():
        way, _, output = key.partition("/")
        if output in ("values", "outputs"):
            figures[way] = parity.require(
                f"version {version} ({way})",
                proof.values,
                got,
                allowed=_TOLERANCE,
                unit=unit,
            )
    return figures


def _strings(rows: Sequence[Sequence[bytes]]) -> np.ndarray:
    flat = fresh.strings([each for row in rows for each in row])
    return flat.reshape(len(rows), -1)


def _example(row: Mapping[str, np.ndarray]) -> bytes:
    def feature(values: np.ndarray) -> tf.train.Feature:
        if values.dtype == object:
            return tf.train.Feature(
                bytes_list=tf.train.BytesList(value=values.tolist())
            )
        return tf.train.Feature(
            float_list=tf.train.FloatList(value=values.tolist())
        )

    features = {name: feature(values) for name, values in row.items()}
    return tf.train.Example(
        features=tf.train.Features(feature=features)
    ).SerializeToString()
