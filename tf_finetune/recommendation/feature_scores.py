"""Scores of one network's features on the pictures of a rung."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from tf_finetune.metrics import classification_metrics
from tf_finetune.solvers import head_problem, linear_probe
from tf_finetune.transferability import log_evidence, nearest_neighbors


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeFigures:
    """Cross-validated figures of a linear head on the features.

    Attributes:
        accuracy: Accuracy on the pictures left out of each fold, 0..1.
        accuracy_interval: 95 % confidence interval of it, (low, high).
        log_loss: Mean cross-entropy on the same pictures, in nats.
        strength: Inverse L2 strength C with the lowest log loss.
    """

    accuracy: float
    accuracy_interval: tuple[float, float]
    log_loss: float
    strength: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureScores:
    """Scores of a network's features at one rung of successive halving.

    A rung is a number of pictures per class on which networks are compared.

    Attributes:
        pictures_per_class: Largest number of pictures per class at the rung.
        pictures: Number of pictures of all classes.
        logme: LogME, the log evidence per picture of the raw features.
        knn: Leave-one-out accuracy of five nearest neighbors, 0..1.
        probe: Figures of the linear head; None where it was not solved, or a
            class has too few pictures to be cross-validated.
        score_seconds: CPU time of `logme` and `knn`.
        probe_seconds: CPU time of `probe`.
    """

    pictures_per_class: int
    pictures: int
    logme: float
    knn: float
    probe: ProbeFigures | None
    score_seconds: float
    probe_seconds: float

    def to_json(self) -> dict[str, Any]:
        """Returns a dict of all attributes, ready for JSON; see `from_json`.

        `probe` is a nested dict, its interval a list [low, high].
        """
        found = dataclasses.asdict(self)
        if self.probe:
            # JSON reads a list back.
            found["probe"]["accuracy_interval"] = [
                *self.probe.accuracy_interval
            ]
        return found


def from_json(found: dict[str, Any]) -> FeatureScores:
    """Rebuilds the scores from a dict that `FeatureScores.to_json` returned.

    Raises:
        KeyError, TypeError, ValueError: The dict has other keys or values.
    """
    probe = found["probe"]
    if probe is not None:
        low, high = probe["accuracy_interval"]
        probe = ProbeFigures(**{**probe, "accuracy_interval": (low, high)})
    return FeatureScores(**{**found, "probe": probe})


def compute_scores(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    pictures_per_class: int,
    groups: Sequence[str],
    with_probe: bool,
    seed: int,
) -> FeatureScores:
    """Computes LogME, nearest-neighbor accuracy and the probe of raw features.

    Args:
        features: [n, width] pooled features, not standardized.
        labels: [n] class indices; every class occurs.
        pictures_per_class: Pictures per class of the rung, kept in the result.
        groups: A key for each picture; those of one key stay together in
            cross-validation and are not each other's neighbors.
        with_probe: Whether the probe is solved, which takes longest.
        seed: Seed of the probe's folds and of its bootstrap interval.

    Returns:
        The scores, with the CPU seconds that they took.
    """
    # CPU time of all threads: waiting for other programs does not count.
    start = time.process_time()
    with head_problem.limit_threads(features):
        logme = log_evidence.compute_log_evidence(features, labels)
        knn = nearest_neighbors.compute_accuracy(
            features, labels, groups=groups
        )
    between = time.process_time()
    probe = _solve_probe(features, labels, groups, seed) if with_probe else None
    return FeatureScores(
        pictures_per_class=pictures_per_class,
        pictures=len(labels),
        logme=logme,
        knn=knn,
        probe=probe,
        score_seconds=between - start,
        probe_seconds=time.process_time() - between,
    )


def find_limit(width: int, classes: int, last: int) -> int:
    """Finds the pictures per class on which a probe takes a minute at most.

    Args:
        width: Numbers in a feature vector.
        classes: Number of classes.
        last: Pictures per class that are wanted.

    Returns:
        `last`, or the first of it times 3/4, 9/16, … (rounded down, at least 1)
        that is small enough.
    """
    # The solver's cost grows as n·min(n, width)·classes.
    while last > 1 and not linear_probe.is_small(
        last * classes, width, classes
    ):
        last = last * 3 // 4
    return last


def _solve_probe(
    features: np.ndarray, labels: np.ndarray, groups: Sequence[str], seed: int
) -> ProbeFigures | None:
    """Returns the probe's figures; None where a class has one picture."""
    solved = linear_probe.solve(features, labels, groups=groups, seed=seed)
    if solved.out_of_fold is None:
        return None
    # NaN rows: pictures that were in no fold's validation part.
    judged = np.isfinite(solved.out_of_fold).all(axis=1)
    truth, logits = labels[judged], solved.out_of_fold[judged]
    hits = logits.argmax(axis=1) == truth
    # Cross-entropy -ln p(true class), finite where p underflows to 0.
    losses = -special.log_softmax(logits, axis=1)[np.arange(len(truth)), truth]
    low, high = classification_metrics.accuracy_interval(
        int(hits.sum()), len(hits), seed=seed
    )
    return ProbeFigures(
        accuracy=float(hits.mean()),
        accuracy_interval=(float(low), float(high)),
        log_loss=float(losses.mean()),
        strength=float(solved.strengths[0]),
    )
