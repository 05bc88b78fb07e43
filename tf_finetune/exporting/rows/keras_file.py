"""The model of whole rows in one file, `fused.keras`."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_finetune.data import encoded
from tf_finetune.exporting import (
    catalog,
    destination,
    fresh,
    parity,
    single_file,
)
from tf_finetune.exporting.rows import job as jobs


def write(job: jobs.RowsJob, source: pathlib.Path) -> pathlib.Path:
    """Copies a run's own file and proves the copy; returns it.

    It is proven in a process that has Keras and not this package, and loaded
    there with `safe_mode`: it runs no code of its own.

    Args:
        job: What it must reproduce.
        source: The file.

    Raises:
        RunError: It computes something else; nothing is left of the copy.
        UsageError: The destination cannot be written.
    """
    asked = pathlib.Path(job.destination)
    suffix = catalog.SUFFIXES["keras"]

    def prove(path: pathlib.Path, name: str) -> Mapping[str, Any]:
        answers = fresh.run(
            fresh.RUNTIMES / "keras_file.py", path, _inputs(job)
        )
        compared = parity.require(
            name,
            job.proof.values,
            answers["probabilities"],
            allowed=jobs.TOLERANCE,
            unit=job.unit,
        )
        return {
            "pictures": sum(map(len, job.proof.paths)),
            "rows": len(job.proof.paths),
            "tolerance": jobs.TOLERANCE,
            single_file.FRESH: compared,
        }

    return single_file.write(
        destination.file(asked, stem="fused", suffix=suffix),
        lambda path: path.write_bytes(source.read_bytes()),
        prove,
    )


def _inputs(job: jobs.RowsJob) -> dict[str, np.ndarray]:
    """Returns what the model itself takes of the proof's rows, by input."""
    given, size = job.encoded(), job.image_size
    pictures = given[jobs.PICTURES]
    decoded = encoded.decode(
        tf.constant(pictures.ravel().tolist()),
        image_size=size,
        resize=job.resize,
    )
    found = {
        "images": decoded.images.numpy().reshape(*pictures.shape, size, size, 3)
    }
    if job.inputs.numbers:
        found["numbers"] = given[jobs.NUMBERS]
    if job.inputs.words:
        wanted = job.inputs.beginnings
        found["words"] = np.array(
            [
                [row[place][:length] for place, length in wanted]
                for row in job.proof.words
            ]
        )
    return {**found, "batch_size": np.array(job.proof.batch_size)}
