"""Exports in few bits, judged by what a user decides by them.

What that is, each task says (`exports.py` in its folder).
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_finetune import errors
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting.proof import parity, single_file
from tf_finetune.tasks import catalog as tasks

# What to use instead of a file that is refused, the nearest first.
_INSTEAD = {
    False: "--format=litert_float16 has more at half the size, --format=litert "
    "all of them",
    True: "--format=litert has all of them",
}


def prove(
    script: str,
    job: jobs.ExportJob,
    path: pathlib.Path,
    name: str,
    *,
    mean_allowed: float | None = None,
) -> Mapping[str, Any]:
    """Judges a written file in a fresh process.

    Args:
        script: The name of a script in `runtimes/` from `images` to
            `probabilities`.
        job: `job.judging` or else `job.proof` is what it is judged on.
        path: The file.
        name: What it is going to be called.
        mean_allowed: As for `judge`.

    Returns:
        The figures for `parity.json`.

    Raises:
        RunError: It decides differently too often.
    """
    proof = job.judging or job.proof
    got = single_file.answers(script, path, proof, job)
    tolerance, figures = judge(name, got, proof, job, mean_allowed=mean_allowed)
    return {
        "pictures": len(proof.paths),
        "tolerance": tolerance,
        **parity.calibrated(job),
        single_file.FRESH: figures,
    }


def judge(
    name: str,
    got: np.ndarray,
    proof: jobs.Proof,
    job: jobs.ExportJob,
    *,
    mean_allowed: float | None = None,
) -> tuple[Mapping[str, float], Mapping[str, Any]]:
    """Compares predictions and decisions with those expected.

    Args:
        name: What is judged, as a sentence calls it.
        got: [pictures, …, outputs].
        proof: What is expected.
        job: Whose task judges.
        mean_allowed: The largest mean difference, in `job.unit`, of floating
            point that is less exact; None: the task's own bounds are enough.

    Returns:
        What was asked, and the figures: `max_abs_difference` and
        `mean_abs_difference` in `job.unit`, and those of the task.

    Raises:
        RunError: A figure misses what is asked of it.
    """
    compared = parity.compare(proof.predictions, got, unit=job.unit)
    exports = tasks.TASKS.get(job.task).decided(job.decision).exports
    found = exports.judge(
        np.asarray(proof.predictions, "float64"),
        np.asarray(got, "float64"),
        proof.truth,
        names=job.class_names,
        unit=job.unit,
    )
    faults, tolerance = list(found.faults), dict(found.tolerance)
    mean = compared["mean_abs_difference"]
    if mean_allowed is not None:
        tolerance["mean_abs_difference"] = mean_allowed
        if not mean <= mean_allowed:
            faults.append(
                f"predictions differ by {mean:.2g} in the mean (allowed "
                f"{mean_allowed:.2g})"
            )
    if faults:
        raise errors.RunError(
            f"The export {name} decides differently from the evaluation: "
            f"{'; '.join(faults)}. It has been removed. This network does not "
            f"bear so few bits: {_INSTEAD[mean_allowed is not None]}."
        )
    differences = ("max_abs_difference", "mean_abs_difference")
    figures = {name: compared[name] for name in differences}
    return tolerance, {**figures, **found.figures}
