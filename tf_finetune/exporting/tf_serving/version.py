"""One version for TensorFlow Serving: saved, proven, measured, then named.

Two exports of one workdir differ in nothing but function names: TensorFlow
numbers functions by a counter that runs through the whole process. Made by the
same command in two processes, all files of a version are byte-equal but for
the warm-up requests, whose number follows what was measured.
"""

import contextlib
import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from tf_finetune.exporting import layout, staging
from tf_finetune.exporting.proof import parity
from tf_finetune.exporting.tf_serving import (
    saved_proto,
    server_settings,
    signatures,
    warmup,
)


class Served(Protocol):
    """What a SavedModel holds, a `root.Root`.

    Attributes:
        functions: By the name of their signature.
        variables: What they read.
    """

    functions: Mapping[str, Any]
    variables: Sequence[Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Version:
    """What differs from one kind of model to another.

    Attributes:
        destination: The folder of versions.
        name: What a server calls the model.
        build: Returns what is saved, given a folder for the files that are to
            lie in the version's `assets/`.
        prove: Given the version's temporary folder, how a sentence calls it
            and what `build` returned, returns the figures for `parity.json`,
            or raises.
        inputs: Real ones of the default signature, [rows, …] by name.
        kind: What a row is called: "encoded pictures".
        measuring_seconds: How long batch sizes are tried; 0: batches of one
            row only.
    """

    destination: pathlib.Path
    name: str
    build: Callable[[pathlib.Path], Served]
    prove: Callable[[pathlib.Path, str, Served], Mapping[str, Any]]
    inputs: Mapping[str, np.ndarray]
    kind: str
    measuring_seconds: float


def write(version: Version) -> pathlib.Path:
    """Writes the next version directory and proves it; returns the directory.

    It loads with plain `tf.saved_model.load`. Warm-up requests lie in
    `assets.extra/`; `model.config` and `batching_parameters.txt` beside the
    versions.

    Raises:
        RunError: It computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
    folder = pathlib.Path(version.destination)
    beside = (layout.MODEL_CONFIG, layout.BATCHING, layout.PARITY)
    with (
        staging.locked(folder, names=(staging.VERSION, *beside)),
        staging.new_version(folder) as (temporary, number),
    ):
        served = _save(version, temporary)
        figures = version.prove(temporary, f"version {number}", served)
        measured = _measured(version, temporary)
        warmup.write(
            temporary,
            version.inputs,
            model=version.name,
            signature=signatures.BYTES,
            largest_batch=server_settings.best_batch(measured).batch_size,
        )
        # A server takes a version up as soon as it bears its name: what lies
        # beside it is written before.
        server_settings.write(
            folder,
            version.name,
            server_settings.batching(
                measured, cores=os.cpu_count() or 1, kind=version.kind
            ),
        )
        parity.record(folder / number, figures)
    return folder / number


def write_labels(folder: pathlib.Path, names: Sequence[str]) -> pathlib.Path:
    """Writes `labels.txt` into a folder for assets; returns the file."""
    path = folder / layout.LABELS
    path.write_bytes(layout.labels(names))
    return path


def _save(version: Version, folder: pathlib.Path) -> Served:
    with tempfile.TemporaryDirectory() as scratch:
        served = version.build(pathlib.Path(scratch))
        with _quiet():
            tf.saved_model.save(
                served, str(folder), signatures=served.functions
            )
    saved_proto.complete(folder, signatures.METHODS)
    return served


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # It tells of a temporary folder, which a notebook shows as an error.
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(before)


def _measured(
    version: Version, folder: pathlib.Path
) -> list[server_settings.Measured]:
    serve = tf.saved_model.load(str(folder)).signatures[signatures.BYTES]
    _, specs = serve.structured_input_signature

    def answer(places: list[int]) -> np.ndarray:
        rows = {
            # A list, because TensorFlow would take bytes for numbers.
            name: tf.constant(array[places].tolist(), specs[name].dtype)
            for name, array in version.inputs.items()
        }
        return serve(**rows)["error"].numpy()

    # The first call of all takes as long as many: no measure of a batch.
    answer([0])
    count = len(next(iter(version.inputs.values())))
    return server_settings.measure(
        answer, range(count), budget_seconds=version.measuring_seconds
    )
