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

from tf_finetune.exports import export_files, versions
from tf_finetune.exports.parity import parity_check
from tf_finetune.exports.saved_model import (
    image_signatures,
    saved_model_proto,
    server_settings,
    warmup_requests,
)


class Servable(Protocol):
    """Root object of a SavedModel, a `trackable.TrackableModel`.

    Attributes:
        functions: Concrete functions by the name of their signature.
        variables: The variables that they read.
    """

    functions: Mapping[str, Any]
    variables: Sequence[Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class VersionParts:
    """Parts of a version that depend on the kind of model.

    Attributes:
        destination: The folder of versions.
        name: The model's name on a server.
        build: Returns the root object, given a folder for the files that go
            into the version's `assets/`.
        prove: Given the version's temporary folder, its name in messages and
            the root object, returns the figures for `parity.json`, or
            raises.
        inputs: Real inputs of the default signature, [rows, …] by name.
        kind: The name of rows in a comment: "encoded pictures".
        measuring_seconds: How long batch sizes are tried; 0: batches of one
            row only.
    """

    destination: pathlib.Path
    name: str
    build: Callable[[pathlib.Path], Servable]
    prove: Callable[[pathlib.Path, str, Servable], Mapping[str, Any]]
    inputs: Mapping[str, np.ndarray]
    kind: str
    measuring_seconds: float


def write_version(version: VersionParts) -> pathlib.Path:
    """Writes the next version directory and checks it; returns the directory.

    It loads with plain `tf.saved_model.load`. Warm-up requests are in
    `assets.extra/`; `model.config` and `batching_parameters.txt` beside
    the versions.

    Raises:
        RunError: It computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
    folder = pathlib.Path(version.destination)
    beside = (
        export_files.MODEL_CONFIG,
        export_files.BATCHING_PARAMETERS,
        export_files.PARITY,
    )
    with (
        versions.lock_folder(folder, names=(versions.ANY_VERSION, *beside)),
        versions.next_version(folder) as (temporary, number),
    ):
        served = _save_version(version, temporary)
        figures = version.prove(temporary, f"version {number}", served)
        measured = _time_batches(version, temporary)
        warmup_requests.write_requests(
            temporary,
            version.inputs,
            model=version.name,
            signature=image_signatures.BYTES,
            largest_batch=server_settings.choose_batch(measured).batch_size,
        )
        # A server loads a version as soon as it has its name, so the files
        # beside it are written before the rename.
        server_settings.write_settings(
            folder,
            version.name,
            server_settings.render_batching_parameters(
                measured, cores=os.cpu_count() or 1, kind=version.kind
            ),
        )
        parity_check.write_figures(folder / number, figures)
    return folder / number


def write_labels(folder: pathlib.Path, names: Sequence[str]) -> pathlib.Path:
    """Writes `labels.txt` into a folder for assets; returns the file."""
    path = folder / export_files.LABELS
    path.write_bytes(export_files.encode_labels(names))
    return path


def _save_version(version: VersionParts, folder: pathlib.Path) -> Servable:
    with tempfile.TemporaryDirectory() as scratch:
        served = version.build(pathlib.Path(scratch))
        with _silence_tensorflow():
            tf.saved_model.save(
                served, str(folder), signatures=served.functions
            )
    saved_model_proto.set_methods(folder, image_signatures.METHODS)
    return served


@contextlib.contextmanager
def _silence_tensorflow() -> Iterator[None]:
    # TensorFlow logs the temporary folder, which a notebook shows as an error.
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(before)


def _time_batches(
    version: VersionParts, folder: pathlib.Path
) -> list[server_settings.BatchTiming]:
    serve = tf.saved_model.load(str(folder)).signatures[image_signatures.BYTES]
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
    return server_settings.time_batches(
        answer, range(count), budget_seconds=version.measuring_seconds
    )
