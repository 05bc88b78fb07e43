"""The way of every format of one file: written, proven, then named."""

import pathlib
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune import errors, files
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting import layout, staging
from tf_finetune.exporting.proof import fresh, parity, refusal

FRESH = "fresh process"
"""How `parity.json` calls what another process computed."""

Save = Callable[[pathlib.Path], None]
Prove = Callable[[pathlib.Path, str], Mapping[str, Any]]


def write(path: pathlib.Path, save: Save, prove: Prove) -> pathlib.Path:
    """Writes a file that nobody sees under its name before it is proven.

    Args:
        path: The file.
        save: Writes to the path it is given.
        prove: Of the written path and the name it is going to get, returns
            the figures for `parity.json`, or raises. The file's `sha256` is
            added to them.

    Returns:
        `path`.

    Raises:
        RunError: The proof fails; nothing is left of the file.
        UsageError: The destination cannot be written.
    """
    with (
        staging.locked(path.parent, names=(path.name, layout.PARITY)),
        files.replacing(path) as temporary,
    ):
        save(temporary)
        figures = prove(temporary, path.name)
        # Before the file has its name: whoever finds the file finds what was
        # proven of it. The checksum says so, should this be killed here with
        # an earlier file still in its place.
        parity.record(path, {**figures, "sha256": files.sha256(temporary)})
    return path


def prove_exact(
    script: str,
    job: jobs.ExportJob,
    *,
    allowed: float,
    instead: Sequence[str] = (),
    beside: Mapping[str, np.ndarray] = types.MappingProxyType({}),
) -> Prove:
    """Returns a proof that probabilities are equal in a fresh process.

    Args:
        script: The name of a script in `runtimes/` from `images` to
            `probabilities`.
        job: Pictures and what is expected of them.
        allowed: The largest difference of a probability.
        instead: Formats to use where it is refused, best first.
        beside: What else the script takes.
    """

    def prove(path: pathlib.Path, name: str) -> Mapping[str, Any]:
        got = answers(
            script, path, job.proof, job, beside=beside, instead=instead
        )
        return parity.check_answers(
            name, {FRESH: got}, job, allowed=allowed, instead=instead
        )

    return prove


def answers(
    script: str,
    path: pathlib.Path,
    proof: jobs.Proof,
    job: jobs.ExportJob,
    *,
    beside: Mapping[str, np.ndarray] = types.MappingProxyType({}),
    instead: Sequence[str] = (),
) -> np.ndarray:
    """Returns the probabilities of a fresh process, [pictures, classes].

    The pictures are decoded here, as everywhere: a runtime of such a format
    is given pixels.

    Raises:
        Refused: Its runtime does not bear the file.
    """
    contents = [pathlib.Path(each).read_bytes() for each in proof.paths]
    inputs = {
        "images": parity.decoded(contents, job),
        "batch_size": np.array(proof.batch_size),
        **beside,
    }
    try:
        given = fresh.run(fresh.RUNTIMES / script, path, inputs)
    except errors.RunError as error:
        raise refusal.Refused(str(error), instead=instead) from error
    return given["probabilities"]
