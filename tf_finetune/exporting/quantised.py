"""Exports in few bits, judged by what they decide.

Their probabilities move by hundredths, and more where a network is unsure. So
the difference is bounded in the mean, and what counts is the decision: on the
pictures that the evaluation was sure of, and against the true classes.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_finetune import errors
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting import parity, single_file

# Between what int8 does to a network that bears it badly and what a mistake
# does. Measured on MobileNet 0.25, ants and bees, 153 pictures: int8 moves
# probabilities by 0.058 in the mean and keeps 95 % of the decisions, swapped
# colour channels move them by 0.16 and keep 86 %.
MEAN_TOLERANCE = 0.1
AGREEMENT = 0.9
# A picture is decided if the likeliest class is ahead by this much; others may
# fall on either side.
MARGIN = 0.2
# Of accuracy, or one picture where there are few of them.
ACCURACY_LOSS = 0.05


def prove(
    script: str, job: jobs.ExportJob, path: pathlib.Path, name: str
) -> Mapping[str, Any]:
    """Judges a written file in a fresh process.

    Args:
        script: The name of a script in `runtimes/` from `images` to
            `probabilities`.
        job: `job.judging` or else `job.proof` is what it is judged on.
        path: The file.
        name: What it is going to be called.

    Returns:
        The figures for `parity.json`.

    Raises:
        RunError: It decides differently too often.
    """
    proof = job.judging or job.proof
    got = single_file.answers(script, path, proof, job)
    return {
        "pictures": len(proof.paths),
        "tolerance": {
            "mean_abs_difference": MEAN_TOLERANCE,
            "decided_agreement": AGREEMENT,
            "accuracy_loss": ACCURACY_LOSS,
        },
        **parity.calibrated(job),
        single_file.FRESH: judge(name, got, proof),
    }


def judge(
    name: str, got: np.ndarray, proof: jobs.Proof
) -> dict[str, float | None]:
    """Compares probabilities and decisions with those expected.

    Args:
        name: What is judged, as a sentence calls it.
        got: [pictures, classes], probabilities.
        proof: What is expected.

    Returns:
        What `parity.compare` does; `decided_agreement`, the share of decided
        pictures with the same likeliest class, None if none is decided; and
        where true classes are known `accuracy` and `evaluation_accuracy`.

    Raises:
        RunError: A figure misses what is asked of it.
    """
    expected = np.asarray(proof.predictions)
    figures: dict[str, float | None] = dict(parity.compare(expected, got))
    figures["decided_agreement"] = _decided_agreement(expected, got)
    if proof.labels is not None:
        figures["accuracy"] = _accuracy(got, proof.labels)
        figures["evaluation_accuracy"] = _accuracy(expected, proof.labels)
    faults = _faults(figures, len(proof.paths))
    if faults:
        raise errors.RunError(
            f"The export {name} decides differently from the evaluation: "
            f"{'; '.join(faults)}. It has been removed. This network does not "
            "bear so few bits: --format=litert_float16 keeps its decisions at "
            "half the size, --format=litert all of it."
        )
    return figures


def _decided_agreement(expected: np.ndarray, got: np.ndarray) -> float | None:
    ranked = np.sort(expected, axis=1)
    decided = ranked[:, -1] - ranked[:, -2] > MARGIN
    if not decided.any():
        return None
    same = np.argmax(expected, axis=1) == np.argmax(got, axis=1)
    return float(same[decided].mean())


def _accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return float((np.argmax(probabilities, axis=1) == labels).mean())


def _faults(figures: Mapping[str, float | None], pictures: int) -> list[str]:
    faults = []
    if figures["mean_abs_difference"] > MEAN_TOLERANCE:
        faults.append(
            f"probabilities differ by {figures['mean_abs_difference']:.2g} in "
            f"the mean (allowed {MEAN_TOLERANCE})"
        )
    agreement = figures["decided_agreement"]
    if agreement is not None and agreement < AGREEMENT:
        faults.append(
            f"the same class for {agreement:.1%} of the pictures that the "
            f"evaluation was sure of (asked {AGREEMENT:.0%})"
        )
    if "accuracy" in figures:
        loss = figures["evaluation_accuracy"] - figures["accuracy"]
        if loss > max(ACCURACY_LOSS, 1 / pictures) + 1e-9:
            faults.append(
                f"accuracy {figures['accuracy']:.1%} instead of "
                f"{figures['evaluation_accuracy']:.1%}"
            )
    return faults
