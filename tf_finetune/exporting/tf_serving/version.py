"""Writing of a version for TensorFlow Serving: save, check, time, publish.

Two exports of one workdir differ only in function names, which TensorFlow
numbers with one counter for the whole process. Written by the same command in
two processes, all files of a version have equal bytes except the warm-up
requests, whose number depends on the timing.
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
    """Root object of a SavedModel, a `root.Root`.

    Attributes:
        functions: Concrete functions by the name of their signature.
        variables: The variables that they read.
    """

    functions: Mapping[str, Any]
    variables: Sequence[Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Version:
    """Parts of a version that depend on the kind of model.

    Attributes:
        destination: The folder of versions.
        name: The model's name on a server.
        build: Returns the root object, given a folder for the files that go
            into the version's `assets/`.
        prove: Given the version's temporary folder, its name in messages and
            the root object, returns the figures for `parity.json`, or raises.
        inputs: Real inputs of the default signature, [rows, …] by name.
        kind: The name of rows in a comment: "encoded pictures".
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
    """Writes the next version directory and checks it; returns the directory.

    It loads with plain `tf.saved_model.load`. Warm-up requests are in
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
        # A server loads a version as soon as it has its name, so the files
        # beside it are written before the rename.
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
    # TensorFlow logs the temporary folder, which a notebook shows as an error.
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

    # The very first call takes many times as long and must not be timed.
    answer([0])
    count = len(next(iter(version.inputs.values())))
    return server_settings.measure(
        answer, range(count), budget_seconds=version.measuring_seconds
    )
