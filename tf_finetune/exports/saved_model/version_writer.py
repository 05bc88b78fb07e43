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
from collections.abc import Iterator, Mapping
from typing import Any

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class PendingVersion:
    """Version of a SavedModel before it has its final name, a number.

    Attributes:
        temporary: The directory that it is written to.
        path: Its final path.
    """

    temporary: pathlib.Path
    path: pathlib.Path

    @property
    def title(self) -> str:
        """Its name in messages."""
        return f"version {self.path.name}"

    def save(self, served: image_signatures.ImageServable) -> None:
        """Writes the SavedModel; it loads with plain `tf.saved_model.load`."""
        with _silence_tensorflow():
            tf.saved_model.save(
                served, str(self.temporary), signatures=served.functions
            )
        saved_model_proto.set_methods(self.temporary, image_signatures.METHODS)

    def write_settings(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        name: str,
        kind: str,
        measuring_seconds: float,
    ) -> None:
        """Times batches and writes settings and warm-up requests of servers.

        Warm-up requests go into `assets.extra/`, `model.config` and
        `batching_parameters.txt` beside the versions: a server loads a version
        as soon as it has its name, so they are there before.

        Args:
            inputs: Real inputs of the default signature, [rows, …] by name.
            name: The model's name on a server.
            kind: The name of rows in a comment: "encoded pictures".
            measuring_seconds: How long batch sizes are tried; 0: batches of
                one row only.
        """
        timings = _time_batches(self.temporary, inputs, measuring_seconds)
        warmup_requests.write_requests(
            self.temporary,
            inputs,
            model=name,
            signature=image_signatures.DEFAULT,
            largest_batch=server_settings.choose_batch(timings).batch_size,
        )
        server_settings.write_settings(
            self.path.parent,
            name,
            server_settings.render_batching_parameters(
                timings, cores=os.cpu_count() or 1, kind=kind
            ),
        )

    def publish(self, figures: Mapping[str, Any]) -> None:
        """Records the figures of its parity check in `parity.json`.

        It gets its final name at the end of the block of `open_version`.
        """
        parity_check.write_figures(self.path, figures)


@contextlib.contextmanager
def open_version(folder: pathlib.Path) -> Iterator[PendingVersion]:
    """Opens a block that writes, checks and publishes the next version.

    If the block raises, nothing is left of the version.

    Args:
        folder: The folder of versions.

    Raises:
        UsageError: It cannot be written.
    """
    beside = (
        export_files.MODEL_CONFIG,
        export_files.BATCHING_PARAMETERS,
        export_files.PARITY,
    )
    with (
        versions.lock_folder(folder, names=(versions.ANY_VERSION, *beside)),
        versions.next_version(folder) as (temporary, number),
    ):
        yield PendingVersion(temporary=temporary, path=folder / number)


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
    folder: pathlib.Path,
    inputs: Mapping[str, np.ndarray],
    measuring_seconds: float,
) -> list[server_settings.BatchTiming]:
    serve = tf.saved_model.load(str(folder)).signatures[
        image_signatures.DEFAULT
    ]
    _, specs = serve.structured_input_signature

    def answer(places: list[int]) -> np.ndarray:
        rows = {
            # A list, because TensorFlow would take bytes for numbers.
            name: tf.constant(array[places].tolist(), specs[name].dtype)
            for name, array in inputs.items()
        }
        return serve(**rows)["error"].numpy()

    # The very first call takes many times as long and must not be timed.
    answer([0])
    count = len(next(iter(inputs.values())))
    return server_settings.time_batches(
        answer, range(count), budget_seconds=measuring_seconds
    )
