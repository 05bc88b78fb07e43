"""Metrics of multi-label predictions, ready for JSON."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune.metrics import evaluators, ranking_metrics

# Step of float32 at 1; scikit-learn clips probabilities there, too.
_SMALLEST = float(np.finfo("float32").eps)


def compute_metrics(
    targets: np.ndarray,
    probabilities: np.ndarray,
    *,
    thresholds: np.ndarray,
    names: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """Computes all metrics of multi-label predictions.

    Macro averages are over the labels that at least one picture carries; the
    metrics of the others are None. A label that is never predicted has
    precision 0. Micro averages are over all pairs of picture and label.

    Args:
        targets: [n, labels], 1 where the picture carries the label, else 0.
        probabilities: [n, labels] in 0..1.
        thresholds: [labels]; a label is predicted from this probability on.
        names: Names of the labels, in the order of the columns.
        seed: Seed of the bootstrap.

    Returns:
        Plain numbers, lists and dictionaries; undefined metrics are None.
        Keys: `examples`, `class_names`, `macro_` and `micro_` of
        `average_precision`, `roc_auc`, `precision`, `recall` and `f1`,
        `macro_average_precision_interval`, `exact_match`, `hamming_loss`,
        `log_loss` (mean over all pairs) and `per_label` (by name: those five,
        `threshold` and `support`).

    Raises:
        DataError: There is no example.
        RunError: A probability is NaN or infinite.
        ValueError: The shapes do not fit, or a probability is not in 0..1.
    """
    targets = np.asarray(targets) > 0
    probabilities = np.asarray(probabilities, dtype="float64")
    _check_arrays(targets, probabilities, names)
    given = probabilities >= np.asarray(thresholds)
    per_label = {
        name: _compute_label_figures(*column) | {"threshold": float(threshold)}
        for name, threshold, *column in zip(
            names, thresholds, targets.T, probabilities.T, given.T, strict=True
        )
    }
    pairs = _compute_pair_figures(targets, probabilities, given)
    interval = ranking_metrics.bootstrap_macro_interval(
        targets, probabilities, seed=seed
    )
    return {
        "examples": len(targets),
        "class_names": list(names),
        **_average_over_labels(per_label.values(), pairs),
        "macro_average_precision_interval": interval,
        **{f"micro_{key}": value for key, value in pairs.items()},
        # Also known as subset accuracy.
        "exact_match": float(np.mean(np.all(given == targets, axis=1))),
        "hamming_loss": float(np.mean(given != targets)),
        "log_loss": log_loss(targets, probabilities),
        "per_label": per_label,
    }


def _average_over_labels(
    labels: Collection[Mapping[str, float | None]], keys: Iterable[str]
) -> dict[str, float | None]:
    return {
        f"macro_{key}": _average_known([label[key] for label in labels])
        for key in keys
    }


def log_loss(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Computes the mean binary cross-entropy over all pairs.

    Probabilities are clipped at 1.2e-7, the step of float32 at 1.

    Args:
        targets: [n, labels] booleans, or 0 and 1.
        probabilities: [n, labels] in 0..1.
    """
    return float(np.mean(log_losses(targets, probabilities)))


def log_losses(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Computes the binary cross-entropy of each picture, mean over labels.

    Args:
        targets: [n, labels] booleans.
        probabilities: [n, labels] in 0..1, clipped at 1.2e-7.

    Returns:
        [n].
    """
    # -[y ln p + (1 - y) ln(1 - p)]: y is 0 or 1, so that one term is left.
    true = np.where(targets, probabilities, 1 - probabilities)
    return np.mean(-np.log(np.clip(true, _SMALLEST, 1.0)), axis=1)


def _compute_label_figures(
    targets: np.ndarray, scores: np.ndarray, given: np.ndarray
) -> dict[str, Any]:
    from sklearn import metrics  # Slow to load, and preflight needs none.

    # Of the state "present" alone.
    [precision], [recall], [f1], [support] = (
        metrics.precision_recall_fscore_support(
            targets, given, labels=[True], average=None, zero_division=0
        )
    )
    # Without a true picture recall is 0/0, and nothing is known.
    known = support > 0
    return {
        "average_precision": ranking_metrics.average_precision(targets, scores),
        "roc_auc": ranking_metrics.roc_auc(targets, scores),
        "precision": float(precision) if known else None,
        "recall": float(recall) if known else None,
        "f1": float(f1) if known else None,
        "support": int(support),
    }


def _compute_pair_figures(
    targets: np.ndarray, probabilities: np.ndarray, given: np.ndarray
) -> dict[str, Any]:
    """Computes micro averages: all pairs of picture and label as one label."""
    found = _compute_label_figures(
        targets.ravel(), probabilities.ravel(), given.ravel()
    )
    # A count has neither a micro nor a macro average.
    found.pop("support")
    return found


def _average_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _check_arrays(
    targets: np.ndarray, probabilities: np.ndarray, names: Sequence[str]
) -> None:
    evaluators.check_arrays(targets, probabilities, names)
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError(
            "Probabilities must be in 0..1, got "
            f"{probabilities.min():.3g}..{probabilities.max():.3g}; are these "
            "logits?"
        )
