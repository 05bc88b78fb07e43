"""Ridge regression: a dense layer solved in closed form.

The strength of each target is chosen by cross-validation on the training data
alone, over a path that costs one decomposition per fold. The predictions of
the folds for the examples left out of them are kept, for stacking.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import threadpoolctl

from tf_finetune.data import progress

STRENGTHS = tuple(float(f"{10 ** (k / 3):.3g}") for k in range(-15, 13))
"""The penalties that are tried, per example, on standardized features."""

# Used where there are too few examples to cross-validate.
_DEFAULT_STRENGTH = 1.0
# Folds of cross-validation: five, of few examples ten, as Breiman has them for
# stacking; a solution on only 80 % of few examples chooses worse.
_FOLDS, _FOLDS_OF_FEW, _FEW = 5, 10, 2000
# Elements of a matrix up to which one thread solves it as fast as several.
_ONE_THREAD = 5e6
# Multiplications that take about a minute on two cores, folds included, and
# elements of a matrix of which some copies fit into memory: 160 MB each.
_LARGEST_SOLUTION = 4e11
_LARGEST_MATRIX = 2e7


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """Cross-validation error of one strength.

    Attributes:
        strength: The penalty per example.
        squared_error: Mean over all left-out examples, for each target.
    """

    strength: float
    squared_error: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ridge:
    """A solved linear map.

    Attributes:
        kernel: [width, targets] float64, for raw features.
        bias: [targets] float64.
        strengths: The penalty per example that each target chose.
        trials: Every strength that was tried; empty without folds.
        out_of_fold: [n, targets], predictions at the chosen strengths by the
            solutions that did not see the example; None without folds.
        note: A remark for the report; mostly empty.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strengths: tuple[float, ...]
    trials: tuple[Trial, ...]
    out_of_fold: np.ndarray | None
    note: str

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Returns predictions [n, targets] of raw features [n, width]."""
        return features @ self.kernel + self.bias


def is_small(num_examples: int, width: int) -> bool:
    """Whether `solve_ridge` takes about a minute at most, and fits memory."""
    # n·d·min(n, d) for Gram matrix or SVD, 10·min³ for the eigenvalues.
    inner = min(num_examples, width)
    multiplications = (num_examples + 10 * inner) * inner**2
    return (
        multiplications <= _LARGEST_SOLUTION
        and num_examples * width <= _LARGEST_MATRIX
    )


def solve_ridge(
    features: np.ndarray,
    targets: np.ndarray,
    *,
    groups: Sequence[str] | None = None,
    standardized: bool = True,
    seed: int,
) -> Ridge:
    """Solves ridge regression for all targets, each at its best strength.

    Args:
        features: [n, width] raw features.
        targets: [n, targets], on a scale on which squared errors matter.
        groups: A key for each example; examples of one key are always in the
            same fold. None: each is a group of its own.
        standardized: Whether the penalty sees features of deviation 1; else
            it sees them as they are.
        seed: Of the folds.

    Source: Hoerl and Kennard 1970, "Ridge Regression", equation 2.1; Hastie
    et al. 2009, "The Elements of Statistical Learning", equation 3.47 (the
    path from one decomposition) and section 18.3.5 (rotating n examples of
    width d > n into n dimensions leaves the solution unchanged).
    """
    # Threads of BLAS wait for each other in small products.
    threads = 1 if features.size <= _ONE_THREAD else None
    with threadpoolctl.threadpool_limits(threads, "blas"):
        return _solve_targets(features, targets, groups, standardized, seed)


def split_folds(
    groups: Sequence[str], seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divides examples into ten folds, five of many, or one per group.

    Args:
        groups: A key for each example; one key lies in one fold.
        seed: Of the draw.

    Returns:
        (training, left out) indices of each fold; none for a single group.
    """
    place = {key: index for index, key in enumerate(dict.fromkeys(groups))}
    parts = _FOLDS_OF_FEW if len(place) <= _FEW else _FOLDS
    count = min(parts, len(place))
    if count < 2:
        return []
    # Groups are shuffled, then dealt to the folds in turn.
    order = np.random.default_rng(seed).permutation(len(place))
    part = (order % count)[[place[key] for key in groups]]
    return [
        (np.flatnonzero(part != each), np.flatnonzero(part == each))
        for each in range(count)
    ]


def _solve_targets(
    features: np.ndarray,
    targets: np.ndarray,
    groups: Sequence[str] | None,
    standardized: bool,
    seed: int,
) -> Ridge:
    targets = np.asarray(targets, "float64")
    mean = features.mean(axis=0, dtype="float64")
    scale = _measure_scale(features) if standardized else np.ones(len(mean))
    # Standardized, so that one penalty suits all features; the kernel is
    # converted back to raw features below.
    rows, basis = _rotate_rows((features.astype("float64") - mean) / scale)
    keys = [str(i) for i in range(len(rows))] if groups is None else groups
    path = _predict_left_out(rows, targets, split_folds(keys, seed))
    trials, out_of_fold, note = (), None, ""
    chosen = np.full(targets.shape[1], STRENGTHS.index(_DEFAULT_STRENGTH))
    if path is None:
        note = "a single group of pictures; strength not cross-validated"
    else:
        # [strengths, targets]: each target chooses a strength of its own.
        losses = np.mean((path - targets) ** 2, axis=1)
        chosen = losses.argmin(axis=0)
        trials = tuple(
            Trial(strength=s, squared_error=tuple(map(float, each)))
            for s, each in zip(STRENGTHS, losses, strict=True)
        )
        out_of_fold = path[chosen, :, np.arange(targets.shape[1])].T
    # The final solution is on all examples, at the chosen strengths.
    whole = _solve_path(rows, targets)
    coefficients = whole[chosen, :, np.arange(targets.shape[1])].T
    kernel = (basis @ coefficients) / scale[:, np.newaxis]
    return Ridge(
        kernel=kernel,
        bias=targets.mean(axis=0) - mean @ kernel,
        strengths=tuple(STRENGTHS[index] for index in chosen),
        trials=trials,
        out_of_fold=out_of_fold,
        note=note,
    )


def _measure_scale(features: np.ndarray) -> np.ndarray:
    # Features that are constant but for rounding keep their scale.
    scale = features.std(axis=0, dtype="float64")
    return np.where(scale > 1e-6 * max(scale.max(), 1e-12), scale, 1.0)


def _rotate_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotates n rows of width d > n into n dimensions, with their basis."""
    # Hastie et al. 2009, section 18.3.5: X = U S V'; solve on U S, then V.
    if rows.shape[0] >= rows.shape[1]:
        return rows, np.eye(rows.shape[1])
    left, sizes, right = np.linalg.svd(rows, full_matrices=False)
    return left * sizes, right.T


def _predict_left_out(
    rows: np.ndarray,
    targets: np.ndarray,
    parts: list[tuple[np.ndarray, np.ndarray]],
) -> np.ndarray | None:
    """Predicts left-out examples at every strength, [strengths, n, targets]."""
    if not parts:
        return None
    said = np.empty([len(STRENGTHS), *targets.shape])
    shown = progress.track(
        parts,
        total=len(parts),
        title="Solving the head",
        unit="folds",
        is_brief=True,
    )
    for solve_on, judge_on in shown:
        mean = rows[solve_on].mean(axis=0)
        path = _solve_path(rows[solve_on], targets[solve_on])
        said[:, judge_on] = np.einsum(
            "nd,sdt->snt", rows[judge_on] - mean, path
        ) + targets[solve_on].mean(axis=0)
    return said


def _solve_path(rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Solves all strengths by one eigendecomposition of the Gram matrix.

    Returns:
        Coefficients [strengths, width, targets] of centered rows.
    """
    # w(λ) = V (Λ + λ n)^-1 V' X' y, with X'X = V Λ V' (equation 3.47).
    centered = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centered.T @ centered)
    projected = vectors.T @ (centered.T @ (targets - targets.mean(axis=0)))
    penalties = np.asarray(STRENGTHS) * len(rows)
    # Rounding leaves eigenvalues of a singular matrix a little below 0.
    shrunk = 1 / (np.maximum(values, 0) + penalties[:, np.newaxis])
    return np.einsum("wv,sv,vt->swt", vectors, shrunk, projected, optimize=True)
