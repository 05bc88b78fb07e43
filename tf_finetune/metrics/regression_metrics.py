"""Metrics of a regression in the user's units, ready for JSON."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune.metrics import candidate_selection, evaluators

FIGURES = ("r2", "log_r2", "mae", "rmse", "mape", "median_absolute_error")
"""Figures of each target."""

_UNITLESS = ("r2", "log_r2", "mape")
# Draws of the bootstrap.
_DRAWS = 1000
# Numbers held at once while drawing, 32 MB each, and in all.
_BLOCK = 4e6
_WORK = 4e7
_Compute = Callable[[np.ndarray], np.ndarray]


def compute_metrics(
    targets: np.ndarray,
    predictions: np.ndarray,
    *,
    names: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """Computes all metrics of predicted values.

    Args:
        targets: [n, targets] true values, in the user's units.
        predictions: [n, targets] predicted values, in the user's units.
        names: Names of the targets.
        seed: Seed of the bootstrap.

    Returns:
        Plain numbers, lists and dictionaries; undefined metrics are None.
        `examples`, `targets` (the names), `per_target` (by name, each with
        `r2`, `log_r2` (of logarithms), `mae`, `rmse`, `mape`,
        `median_absolute_error` and, as NAME_interval, their 95 % intervals) and
        the same entries for the whole: of a single target its own; of several
        the means of `r2`, `log_r2` and `mape`, the others None, since their
        units differ.

    Raises:
        DataError: There is no example.
        RunError: A prediction is NaN or infinite.
        ValueError: The shapes do not fit.
    """
    targets = np.asarray(targets, "float64")
    predictions = np.asarray(predictions, "float64")
    evaluators.check_arrays(targets, predictions, names)
    per_target = {
        name: _compute_target_figures(targets[:, i], predictions[:, i], seed)
        for i, name in enumerate(names)
    }
    return {
        "examples": len(targets),
        "targets": list(names),
        **_average_targets(list(per_target.values())),
        "per_target": per_target,
    }


def compute_constant_baseline(
    targets: np.ndarray,
    answers: Sequence[float],
    *,
    names: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """Computes the metrics of a baseline that always predicts the same values.

    Args:
        targets: [n, targets] true values.
        answers: The constant prediction, one value per target.
        names: Names of the targets.
        seed: Seed of the bootstrap.

    Returns:
        `answers` by name, and the metrics over all targets, see
        `select_summary`.
    """
    # A view: the same row of answers for every example.
    predictions = np.broadcast_to(np.asarray(answers), np.shape(targets))
    figures = compute_metrics(targets, predictions, names=names, seed=seed)
    return {
        "answers": dict(zip(names, map(float, answers), strict=True)),
        **select_summary(figures),
    }


def select_summary(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Selects the metrics over all targets, and their intervals.

    Args:
        figures: As `compute_metrics` returns them.

    Returns:
        A new dict of those entries of `FIGURES`, without `per_target`.
    """
    names = [name for each in FIGURES for name in (each, f"{each}_interval")]
    return {name: figures[name] for name in names if name in figures}


def r2(targets: np.ndarray, predictions: np.ndarray) -> float | None:
    """Computes the coefficient of determination R² of one target.

    Args:
        targets: [n] true values.
        predictions: [n] predicted values.

    Returns:
        At most 1; 0 for a constant prediction of the mean of these targets,
        below 0 for worse ones; None if all targets are the same.
    """
    # 1 - Σ (y - ŷ)² / Σ (y - ȳ)²
    deviation = np.sum((targets - np.mean(targets)) ** 2)
    if not deviation > 0:
        return None
    return float(1 - np.sum((targets - predictions) ** 2) / deviation)


def build_evidence(
    targets: np.ndarray, predictions: np.ndarray, *, logged: bool
) -> candidate_selection.Evidence:
    """Builds per-example results for the comparison of two regressions.

    The loss of an example is its squared error divided by the target's
    variance, averaged over the targets. Its mean is 1 - R², so that R² itself
    decides where the difference is not significant.

    Args:
        targets: [n, targets] true values, in the user's units.
        predictions: [n, targets] predicted values, in the user's units.
        logged: Whether R² is that of the logarithms, for targets above 0.
    """
    targets = np.asarray(targets, "float64")
    predictions = np.asarray(predictions, "float64")
    if logged:
        # A prediction that is not above 0 has no logarithm.
        least = np.finfo("float32").tiny
        targets = np.log(targets)
        predictions = np.log(np.maximum(predictions, least))
    squares = (targets - predictions) ** 2
    centered = targets - targets.mean(axis=0)
    variance = np.mean(centered**2, axis=0)

    def value(weights: np.ndarray) -> np.ndarray:
        counts = weights.sum(axis=1, keepdims=True)
        # Var = E[y²] - E[y]²; targets are centered, so little cancels.
        means = weights @ centered / counts
        spread = weights @ centered**2 / counts - means**2
        varies = spread > 1e-12 * variance  # Not 0 but for rounding.
        with np.errstate(divide="ignore", invalid="ignore"):
            found = 1 - weights @ squares / counts / spread
        return np.mean(np.where(varies, found, np.nan), axis=1)

    return candidate_selection.Evidence(
        figure="R² of the logarithm" if logged else "R²",
        value=value,
        # A constant target has variance 0; its errors stay undivided.
        losses=np.mean(squares / np.where(variance > 0, variance, 1), axis=1),
        loss="the unexplained share of the variance",
        size=targets.size,
    )


def _compute_target_figures(
    targets: np.ndarray, predictions: np.ndarray, seed: int
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, compute in _build_computations(targets, predictions).items():
        # Every example once: the metric itself.
        value = compute(np.arange(len(targets))[np.newaxis])[0]
        figures[name] = _finite_or_none(value)
        figures[f"{name}_interval"] = None
        # Draws of a single example cannot vary.
        if figures[name] is not None and len(targets) > 1:
            interval = _bootstrap_interval(compute, len(targets), seed)
            if np.isfinite(interval).all():
                figures[f"{name}_interval"] = interval
    return {
        name: figures.get(name)
        for each in FIGURES
        for name in (each, f"{each}_interval")
    }


def _build_computations(
    targets: np.ndarray, predictions: np.ndarray
) -> dict[str, _Compute]:
    """Returns a function for each figure: indices [draws, n] → [draws].

    MAPE is not defined where a target is 0, R² of the logarithm where a
    target or a prediction is not above 0.
    """
    errors_ = np.abs(predictions - targets)
    found: dict[str, _Compute] = {
        "r2": lambda rows: _compute_r2(targets[rows], errors_[rows]),
        "mae": lambda rows: errors_[rows].mean(axis=1),
        "rmse": lambda rows: np.sqrt((errors_[rows] ** 2).mean(axis=1)),
        "median_absolute_error": lambda rows: np.median(errors_[rows], axis=1),
    }
    if np.all(targets != 0):
        # MAPE = mean of |ŷ - y| / |y|.
        relative = errors_ / np.abs(targets)
        found["mape"] = lambda rows: relative[rows].mean(axis=1)
    if np.all(targets > 0) and np.all(predictions > 0):
        logs = np.log(targets)
        # |log(ŷ) - log(y)| = |log(ŷ / y)|, the relative error on a log scale.
        ratios = np.abs(np.log(predictions) - logs)
        found["log_r2"] = lambda rows: _compute_r2(logs[rows], ratios[rows])
    return found


def _compute_r2(targets: np.ndarray, errors_: np.ndarray) -> np.ndarray:
    """Computes R² of each row, NaN where its targets are all the same."""
    deviation = targets - targets.mean(axis=1, keepdims=True)
    total = (deviation**2).sum(axis=1)
    # By the range, which is exact; rounding leaves `total` a little above 0.
    same = np.ptp(targets, axis=1) == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        # 1 - Σ (y - ŷ)² / Σ (y - ȳ)².
        values = 1 - (errors_**2).sum(axis=1) / total
    return np.where(same, np.nan, values)


def _bootstrap_interval(
    compute: _Compute, count: int, seed: int
) -> list[float]:
    """Computes the 95 % confidence interval [low, high].

    The percentile bootstrap over examples, 1000 draws; fewer, at least 100,
    where there are more than 40,000 examples.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap",
    section 13.3.
    """
    generator = np.random.default_rng(seed)
    # In blocks, so that memory stays bounded, whatever the number of examples.
    draws = int(np.clip(_WORK // count, 100, _DRAWS))
    block = max(int(_BLOCK // count), 1)
    values = [
        compute(
            generator.integers(count, size=[min(block, draws - start), count])
        )
        for start in range(0, draws, block)
    ]
    # R² is NaN in draws whose targets are all the same; those are left out.
    low, high = np.nanpercentile(np.concatenate(values), [2.5, 97.5])
    return [float(low), float(high)]


def _average_targets(per_target: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if len(per_target) == 1:
        return dict(per_target[0])
    whole: dict[str, Any] = dict.fromkeys(FIGURES)
    # Only figures without a unit can be averaged over targets.
    for name in _UNITLESS:
        values = [each[name] for each in per_target]
        if None not in values:
            whole[name] = float(np.mean(values))
    return whole


def _finite_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
