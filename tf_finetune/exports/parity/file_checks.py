"""Writing of single-file formats: write, check, then rename."""

import math
import pathlib
import types
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune import errors
from tf_finetune.exports import job as jobs
from tf_finetune.exports import pending_exports
from tf_finetune.exports.parity import (
    export_refusal,
    fresh_process,
    parity_check,
)
from tf_finetune.tasks import catalog as tasks
from tf_finetune.tasks import quantization_checks

_FRESH_PROCESS = "fresh process"
"""Key in `parity.json` of the figures from another process."""


def check_exact(
    script: str,
    file: pending_exports.PendingFile,
    job: jobs.ExportJob,
    *,
    allowed: float,
    instead: Sequence[str] = (),
    beside: Mapping[str, np.ndarray] = types.MappingProxyType({}),
) -> Mapping[str, Any]:
    """Compares predictions of a file in a fresh process with the evaluation's.

    Args:
        script: Name of a script in `runtimes/` that reads `images` and writes
            `probabilities`.
        file: The written file, not yet published.
        job: Its `proof` has the pictures and the expected predictions.
        allowed: The largest difference of a prediction, in `job.unit`.
        instead: Formats to suggest if the file is refused, best first.
        beside: Further inputs of the script by name.

    Returns:
        The figures for `parity.json`, see `parity_check.check_predictions`.

    Raises:
        ExportRefusedError: Predictions differ by more, or the file cannot run.
    """
    got = predict_in_fresh_process(
        script, file.temporary, job.proof, job, beside=beside, instead=instead
    )
    return parity_check.check_predictions(
        file.path.name,
        {_FRESH_PROCESS: got},
        job,
        allowed=allowed,
        instead=instead,
    )


def predict_in_fresh_process(
    script: str,
    path: pathlib.Path,
    proof: jobs.ParityReference,
    job: jobs.ExportJob,
    *,
    beside: Mapping[str, np.ndarray] = types.MappingProxyType({}),
    instead: Sequence[str] = (),
) -> np.ndarray:
    """Computes predictions of an exported file in a fresh process.

    The pictures are decoded here, by the package's one decoder: the runtime
    of such a format takes pixels.

    Args:
        script: Name of a script in `runtimes/`.
        path: The exported file.
        proof: Has the pictures or table rows.
        job: Has their input size and decoding.
        beside: Further inputs of the script by name.
        instead: Formats to suggest if the file cannot be run, best first.

    Returns:
        Predictions [pictures, …, outputs].

    Raises:
        ExportRefusedError: The format's runtime cannot load or run the file.
    """
    inputs = {
        **parity_check.load_inputs(proof, job),
        "batch_size": np.array(proof.batch_size),
        **beside,
    }
    try:
        given = fresh_process.run_script(
            fresh_process.RUNTIMES / script, path, inputs
        )
    except errors.RunError as error:
        raise export_refusal.ExportRefusedError(
            str(error), instead=instead
        ) from error
    return given["probabilities"]


def check_file(
    script: str,
    file: pending_exports.PendingFile,
    job: jobs.ExportJob,
    *,
    mean_allowed: float | None = None,
    instead: Sequence[str] = (),
) -> Mapping[str, Any]:
    """Checks decisions by a written file, such as classes, in a fresh process.

    Args:
        script: Name of a script in `runtimes/`, as for `check_exact`.
        file: The written file, not yet published.
        job: Its `quantization_reference`, or without one its `proof`, has the
            pictures.
        mean_allowed: The largest mean difference; see `check_decisions`.
        instead: Formats to suggest if the file is refused, best first.

    Returns:
        The figures for `parity.json`.

    Raises:
        ExportRefusedError: Too many decisions differ, or the file cannot run.
    """
    # Agreement is a share of pictures, so more of them are needed than for a
    # largest difference.
    proof = job.quantization_reference or job.proof
    got = predict_in_fresh_process(
        script, file.temporary, proof, job, instead=instead
    )
    tolerance, figures = check_decisions(
        file.path.name,
        got,
        proof,
        job,
        mean_allowed=mean_allowed,
        instead=instead,
    )
    return {
        "pictures": len(proof.paths),
        "tolerance": tolerance,
        **parity_check.describe_calibration(job),
        _FRESH_PROCESS: figures,
    }


def check_decisions(
    name: str,
    got: np.ndarray,
    proof: jobs.ParityReference,
    job: jobs.ExportJob,
    *,
    mean_allowed: float | None = None,
    instead: Sequence[str] = (),
) -> tuple[Mapping[str, float], Mapping[str, Any]]:
    """Compares predictions, and decisions by them, with the evaluation's.

    A decision is that of the task: the likeliest class, labels above their
    thresholds.

    Args:
        name: Of the export, for messages.
        got: Predictions of the export, [pictures, …, outputs].
        proof: Predictions of the same pictures that are expected.
        job: Has the task, which makes the comparison. Where `job.tolerance` is
            set, the only bounds are how much worse each of its metrics may
            become, and `mean_allowed` is not read.
        mean_allowed: The largest mean difference, in `job.unit`, for a format
            of reduced float precision; None: only the task's bounds apply.
        instead: Formats to suggest if the export is refused, best first.

    Returns:
        The bounds by name, and the figures by name: `max_abs_difference` and
        `mean_abs_difference` in `job.unit`, and those of the task.

    Raises:
        ExportRefusedError: A figure misses its bound, or a metric in
            `job.tolerance` cannot be computed.
    """
    compared = parity_check.compare_predictions(
        proof.predictions, got, unit=job.unit
    )
    found = _compare_decisions(got, proof, job)
    faults, tolerance = list(found.failures), found.tolerance
    mean = compared["mean_abs_difference"]
    if job.tolerance:
        tolerated = _apply_tolerance(name, found, job.tolerance)
        faults, tolerance = list(tolerated.failures), tolerated.tolerance
    elif mean_allowed is not None:
        tolerance["mean_abs_difference"] = mean_allowed
        # Not `>`: NaN must fail.
        if not mean <= mean_allowed:
            faults.append(
                f"predictions differ by {mean:.2g} in the mean (allowed "
                f"{mean_allowed:.2g})"
            )
    if faults:
        raise export_refusal.ExportRefusedError(
            f"The export {name} gives other results than the evaluation: "
            f"{'; '.join(faults)}. It has been removed.",
            instead=instead,
            more=_describe_losses(found, job),
            largest=compared["max_abs_difference"],
        )
    keys = ("max_abs_difference", "mean_abs_difference")
    return tolerance, {key: compared[key] for key in keys} | found.figures


def add_tolerance_advice(
    refused: export_refusal.ExportRefusedError,
    script: str,
    job: jobs.ExportJob,
    path: pathlib.Path,
    instead: Sequence[str],
) -> export_refusal.ExportRefusedError:
    """Adds to a refusal the value of `--tolerance` that would allow the file.

    Runs the file once more in a fresh process.

    Args:
        refused: A refusal because of differences of predictions.
        script: Name of a script in `runtimes/`.
        job: Has the pictures, as for `check_file`.
        path: The file, which is still there.
        instead: Formats to suggest, best first.

    Returns:
        A new error; without such advice where true labels are not known.
    """
    proof = job.quantization_reference or job.proof
    got = predict_in_fresh_process(script, path, proof, job)
    return export_refusal.ExportRefusedError(
        refused.fault,
        instead=instead,
        more=_describe_losses(_compare_decisions(got, proof, job), job),
        largest=refused.largest,
    )


def _compare_decisions(
    got: np.ndarray, proof: jobs.ParityReference, job: jobs.ExportJob
) -> quantization_checks.CheckResult:
    exports = tasks.TASKS.get(job.task).with_decision(job.decision).exports
    compared = quantization_checks.Comparison(
        np.asarray(proof.predictions, "float64"),
        np.asarray(got, "float64"),
        proof.truth,
        job.class_names,
        job.unit,
    )
    return exports.check_quantized(compared)


def _apply_tolerance(
    name: str,
    found: quantization_checks.CheckResult,
    losses: Mapping[str, float],
) -> quantization_checks.CheckResult:
    """Replaces the task's bounds of a check by the allowed losses."""
    for figure in losses:
        if found.loss(figure) is None:
            raise export_refusal.ExportRefusedError(
                f"The loss of {figure} of the export {name} is not known: too "
                "few of the pictures that the run keeps have a true label. "
                "It has been removed.",
                more="Export without --tolerance.",
            )
    return found.with_limits(losses)


def _describe_losses(
    found: quantization_checks.CheckResult, job: jobs.ExportJob
) -> str:
    """Describes the losses of a file and the flag that would allow them."""
    names = tasks.TASKS.get(job.task).exports.losses
    losses = {name: found.loss(name) for name in names}
    if None in losses.values():
        return ""
    # Rounded up to three decimals, so that the flag allows this very loss; 1e-6
    # keeps an exact 0.020 from becoming 0.021 by float rounding.
    limits = {
        name: max(math.ceil(loss * 1000 - 1e-6), 0) / 1000
        for name, loss in losses.items()
    }
    told = ",".join(f"{name}:{limit:g}" for name, limit in limits.items())
    lost = " and ".join(
        f"{max(loss, 0):.3f} of {name}" for name, loss in losses.items()
    )
    return (
        f"On the true labels of the held-out pictures it loses {lost}; "
        f"--tolerance={told} allows that."
    )
