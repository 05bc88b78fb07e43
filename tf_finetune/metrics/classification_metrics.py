"""Metrics of a classification over all examples, ready for JSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_finetune.metrics import confusion_counts, evaluators

# As in table 1 of Guo et al. 2017.
CALIBRATION_BINS = 15
TOP_K = 5
_PER_CLASS = ("precision", "recall", "f1")
_BOOTSTRAP_DRAWS = 2000
# 1.2e-7, the epsilon of float32, at which scikit-learn clips, too.
_FLOAT32_EPSILON = float(np.finfo("float32").eps)


def compute_metrics(
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    class_names: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """Computes all metrics of predicted class probabilities.

    Args:
        labels: [n] integers, indices of the true classes.
        probabilities: [n, classes] in 0..1, rows sum to 1.
        class_names: Names in the order of the columns.
        seed: Seed of the bootstrap.

    Returns:
        Plain numbers, lists and dictionaries; undefined metrics are None.
        Keys: `examples`, `class_names`, `accuracy`, `accuracy_interval`,
        `top_5_accuracy` (None for up to 5 classes), `log_loss`,
        `expected_calibration_error`, `macro_precision`, `macro_recall`,
        `macro_f1`, `weighted_precision`, `weighted_recall`, `weighted_f1`,
        `per_class` (by name: `precision`, `recall`, `f1`, `support`) and
        `confusion_matrix` (rows are true classes; of more than 100 classes
        the cells that are not 0, see `confusion_counts.to_json`).

    Raises:
        DataError: There is no example.
        RunError: A probability is NaN or infinite.
        ValueError: The shapes do not fit, a label is not a class index, or
            rows do not sum to 1.
    """
    labels = np.asarray(labels)
    # float64: sums over many examples keep their digits.
    probabilities = np.asarray(probabilities, dtype="float64")
    _check_inputs(labels, probabilities, class_names)
    predicted = np.argmax(probabilities, axis=1)
    correct = predicted == labels
    return {
        "examples": len(labels),
        "class_names": list(class_names),
        "accuracy": float(np.mean(correct)),
        "accuracy_interval": accuracy_interval(
            int(np.sum(correct)), len(labels), seed=seed
        ),
        "top_5_accuracy": top_accuracy(labels, probabilities, TOP_K),
        "log_loss": log_loss(labels, probabilities),
        "expected_calibration_error": expected_calibration_error(
            np.max(probabilities, axis=1), correct
        ),
        **_compute_per_class(labels, predicted, class_names),
        "confusion_matrix": confusion_counts.to_json(
            confusion_counts.count_pairs(labels, predicted, len(class_names))
        ),
    }


def accuracy_interval(correct: int, examples: int, *, seed: int) -> list[float]:
    """Computes the 95 % interval [low, high] of an accuracy.

    It is the percentile bootstrap over examples, 2000 draws. The number of
    right predictions among n examples drawn with replacement is binomial, so
    that it is drawn directly. Where all or none are right the bootstrap cannot
    vary and would claim certainty; there the bounds are the exact ones.

    Args:
        correct: Number of right predictions.
        examples: Number of predictions, at least 1.
        seed: Seed of the draws.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap",
    section 13.3; Clopper and Pearson 1934 for the exact bounds.
    """
    # Clopper and Pearson: with n of n right, P(all right) = p^n = 0.025.
    if correct == examples:
        return [float(0.025 ** (1 / examples)), 1.0]
    # Likewise P(none right) = (1 - p)^n = 0.025.
    if correct == 0:
        return [0.0, float(1 - 0.025 ** (1 / examples))]
    # X ~ Binomial(n, accuracy); the interval is of X / n.
    generator = np.random.default_rng(seed)
    draws = generator.binomial(
        examples, correct / examples, size=_BOOTSTRAP_DRAWS
    )
    low, high = np.percentile(draws / examples, [2.5, 97.5])
    return [float(low), float(high)]


def top_accuracy(
    labels: np.ndarray, probabilities: np.ndarray, top: int
) -> float | None:
    """Computes top-k accuracy: how often the true class is among the likeliest.

    Equal probabilities are ordered by class index, as argmax does.

    Args:
        labels: [n] indices of the true classes.
        probabilities: [n, classes].
        top: Number of likeliest classes, the k of top-k.

    Returns:
        Value in 0..1; None where there are not more than `top` classes.
    """
    num_classes = probabilities.shape[1]
    # Among k classes the true one is always among the k likeliest.
    if num_classes <= top:
        return None
    true = np.take_along_axis(probabilities, labels[:, None], axis=1)
    # The rank of the true class: classes before it, ties by index.
    earlier = np.arange(num_classes)[None, :] < labels[:, None]
    ahead = (probabilities > true) | ((probabilities == true) & earlier)
    return float(np.mean(np.sum(ahead, axis=1) < top))


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Computes the mean of -ln(probability of the true class), 0..15.9.

    Computed in float64; probabilities are clipped at 1.2e-7 (the epsilon
    of float32), so that no example costs more than 15.9.

    Args:
        labels: [n] indices of the true classes, at least one.
        probabilities: [n, classes].
    """
    return float(np.mean(log_loss_per_example(labels, probabilities)))


def log_loss_per_example(
    labels: np.ndarray, probabilities: np.ndarray
) -> np.ndarray:
    """Computes -ln(probability of the true class) of each example.

    Args:
        labels: [n] indices of the true classes.
        probabilities: [n, classes], clipped at 1.2e-7.

    Returns:
        float64 [n].
    """
    rows = np.arange(len(labels))
    true = np.asarray(probabilities, dtype="float64")[rows, labels]
    # Unclipped, a single probability of 0 would make the mean infinite.
    return -np.log(np.clip(true, _FLOAT32_EPSILON, 1.0))


def expected_calibration_error(
    confidence: np.ndarray, correct: np.ndarray
) -> float:
    """Averages |accuracy - confidence| over 15 equally wide bins.

    Args:
        confidence: [n] probability of the predicted class, 0..1.
        correct: [n] booleans, whether the prediction is right.

    Returns:
        Value in 0..1, bins weighted by their examples.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks",
    equations 2 to 3. Bin m covers ((m - 1) / 15, m / 15].
    """
    # Inner edges; side="left" puts a confidence on an edge into the lower bin.
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
    bins = np.searchsorted(edges, confidence, side="left")
    # Equation 3: sum over bins of |B_m| / n · |acc(B_m) - conf(B_m)|, in which
    # |B_m| cancels: each gap is a sum over its bin.
    gaps = np.bincount(bins, weights=correct.astype("float64") - confidence)
    return float(np.sum(np.abs(gaps)) / len(confidence))


def _compute_per_class(
    labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str]
) -> dict[str, Any]:
    """Computes the metrics of each class and their averages.

    A class without support has none: its figures are None and it enters no
    average. A class with support that is never predicted has precision 0:
    ignoring it would reward never predicting it.
    """
    from sklearn import metrics  # Slow to load, and preflight needs none.

    *columns, support = metrics.precision_recall_fscore_support(
        labels,
        predicted,
        labels=np.arange(len(class_names)),
        average=None,
        zero_division=0,
    )
    per_class = {
        name: {
            **{
                figure: float(column[i]) if support[i] else None
                for figure, column in zip(_PER_CLASS, columns, strict=True)
            },
            "support": int(support[i]),
        }
        for i, name in enumerate(class_names)
    }
    averages = {
        # Support 0 has the weight 0 in both.
        f"{how}_{figure}": float(np.average(column, weights=weights))
        for how, weights in (("macro", support > 0), ("weighted", support))
        for figure, column in zip(_PER_CLASS, columns, strict=True)
    }
    return {**averages, "per_class": per_class}


def _check_inputs(
    labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> None:
    evaluators.check_arrays(labels, probabilities, class_names)
    if labels.min() < 0 or labels.max() >= len(class_names):
        raise ValueError(
            f"Labels must be in 0..{len(class_names) - 1}, got "
            f"{labels.min()}..{labels.max()}."
        )
    off = float(np.max(np.abs(probabilities.sum(axis=1) - 1)))
    # Wide enough for any rounding; logits are off by far more.
    if off > 1e-2:
        raise ValueError(
            f"Rows of probabilities must sum to 1, got one off by {off:.2g}; "
            "are these logits?"
        )


def evaluate_majority_class(
    train: Sequence[int],
    labels: Sequence[int],
    *,
    class_names: Sequence[str],
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluates the constant prediction of the commonest training class.

    Args:
        train: Class indices of the training pictures; the first of equally
            common classes is predicted.
        labels: Class indices of the evaluated pictures, at least one.
        class_names: Names by class index.
        seed: Seed of the bootstrap.

    Returns:
        `class` (its name), `accuracy` and `accuracy_interval`.
    """
    counts = np.bincount(train, minlength=len(class_names))
    # Chosen on the training pictures: the test split must decide nothing.
    best = int(np.argmax(counts))
    correct = int(np.sum(np.asarray(labels) == best))
    return {
        "class": class_names[best],
        "accuracy": correct / len(labels),
        "accuracy_interval": accuracy_interval(correct, len(labels), seed=seed),
    }
