"""Ridge regression: a dense layer solved in closed form.

The strength of each target is chosen by cross-validation on the training data
alone, over a path that costs one decomposition per fold. The predictions of
the folds for the examples left out of them are kept, for stacking.
"""

from collections.abc import Sequence

import numpy as np

from tf_finetune.data import progress
from tf_finetune.solvers import head_problem

# Three per decade, from 1e-5 to 1e4.
STRENGTHS = tuple(float(f"{10 ** (k / 3):.3g}") for k in range(-15, 13))
"""The penalties that are tried, per example, on standardized features."""

# Used where there are too few examples to cross-validate.
_DEFAULT_STRENGTH = 1.0
# Folds of cross-validation: five, of few examples ten, as Breiman has them for
# stacking; a solution on only 80 % of few examples chooses worse.
_FOLDS, _FOLDS_OF_FEW, _FEW = 5, 10, 2000
# Multiplications that take about a minute on two cores, folds included, and
# elements of a matrix of which some copies fit into memory: 160 MB each.
_LARGEST_SOLUTION = 4e11
_LARGEST_MATRIX = 2e7


def solve_head(problem: head_problem.Problem) -> head_problem.Solution | None:
    """Fits a linear head by ridge regression in closed form.

    Args:
        problem: Its targets are rows of standardized numbers; its loss is not
            read.

    Returns:
        The weights at the optimum; None if the problem is too large.
    """
    features = problem.features
    if not is_small(len(features), features.width):
        return None
    solved = solve(
        features.all(),
        problem.targets.values,
        groups=problem.groups,
        seed=problem.config.seed,
    )
    strengths = ", ".join(f"{each:g}" for each in solved.strengths)
    return solved.to_solution(
        f"ridge regression at its optimum, penalty {strengths} a picture"
    )


def is_small(num_examples: int, width: int) -> bool:
    """Returns whether `solve` takes a minute at most and fits into memory.

    Args:
        num_examples: Number of training examples.
        width: Length of a feature vector.
    """
    # n·d·min(n, d) for Gram matrix or SVD, 10·min³ for the eigenvalues.
    inner = min(num_examples, width)
    multiplications = (num_examples + 10 * inner) * inner**2
    return (
        multiplications <= _LARGEST_SOLUTION
        and num_examples * width <= _LARGEST_MATRIX
    )


def solve(
    features: np.ndarray,
    targets: np.ndarray,
    *,
    groups: Sequence[str] | None = None,
    standardized: bool = True,
    seed: int,
) -> head_problem.LinearHead:
    """Fits ridge regression for all targets, each at its best penalty.

    That is the penalty with the lowest cross-validated squared error; 1 for a
    single group.

    Args:
        features: [n, width] raw features.
        targets: [n, targets], on a scale on which squared errors matter.
        groups: A key for each example; examples of one key are in the same
            fold. None: each is a group of its own.
        standardized: Whether the penalty acts on features of deviation 1; else
            on centered features of their own scale.
        seed: Seed of the folds.

    Returns:
        The head; its `strengths` [targets] are penalties per example, from
        `STRENGTHS`.

    Source: Hoerl and Kennard 1970, "Ridge Regression", equation 2.1; Hastie
    et al. 2009, "The Elements of Statistical Learning", equation 3.47 (the
    path from one decomposition) and section 18.3.5 (rotating n examples of
    width d > n into n dimensions leaves the solution unchanged).
    """
    with head_problem.limit_threads(features):
        standard = head_problem.standardize(features, scaled=standardized)
        return _solve(standard, np.asarray(targets, "float64"), groups, seed)


def split_folds(
    groups: Sequence[str], seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divides examples into folds for cross-validation.

    There are ten folds, five above 2000 groups, or one per group if there are
    fewer groups than folds.

    Args:
        groups: A key for each example; examples of one key are in one fold.
        seed: Seed of the draw.

    Returns:
        (training, left out) indices of each fold; empty for a single group.
    """
    # A set of strings would have another order in each process.
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


def _solve(
    standard: head_problem.StandardizedFeatures,
    targets: np.ndarray,
    groups: Sequence[str] | None,
    seed: int,
) -> head_problem.LinearHead:
    rows, outputs = standard.rows, np.arange(targets.shape[1])
    keys = [str(i) for i in range(len(rows))] if groups is None else groups
    folds = split_folds(keys, seed)
    tried, out_of_fold, note = None, None, ""
    chosen = np.full(len(outputs), STRENGTHS.index(_DEFAULT_STRENGTH))
    if folds:
        tried = _cross_validate(rows, targets, folds)
        # Each target chooses a strength of its own.
        chosen = tried.losses.argmin(axis=0)
        out_of_fold = tried.select_left_out(chosen)
    else:
        note = "a single group of pictures; strength not cross-validated"
    # The final solution is on all examples, at the chosen strengths.
    coefficients = _solve_path(rows, targets)[chosen, :, outputs].T
    # Rows are centered, so that the bias is the mean of the targets.
    kernel, bias = standard.convert_to_raw(coefficients, targets.mean(axis=0))
    return head_problem.LinearHead(
        kernel=kernel,
        bias=bias,
        strengths=np.array(STRENGTHS)[chosen],
        cross_validation=tried,
        out_of_fold=out_of_fold,
        note=note,
    )


def _cross_validate(
    rows: np.ndarray,
    targets: np.ndarray,
    parts: list[tuple[np.ndarray, np.ndarray]],
) -> head_problem.CrossValidation:
    """Cross-validates every strength by the squared error of each target."""
    said = np.empty([len(STRENGTHS), *targets.shape])
    shown = progress.track(
        parts,
        total=len(parts),
        title="Solving the head",
        unit="folds",
        is_brief=True,
    )
    for solve_on, judge_on in shown:
        # Each fold is centered by its own examples: the others are not seen.
        mean = rows[solve_on].mean(axis=0)
        path = _solve_path(rows[solve_on], targets[solve_on])
        # n examples, s strengths, d dimensions, t targets.
        said[:, judge_on] = np.einsum(
            "nd,sdt->snt", rows[judge_on] - mean, path
        ) + targets[solve_on].mean(axis=0)
    return head_problem.CrossValidation(
        strengths=STRENGTHS,
        losses=np.mean((said - targets) ** 2, axis=1),
        left_out=said,
    )


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
    # V · diag(shrunk) · projected, for all strengths at once.
    return np.einsum("wv,sv,vt->swt", vectors, shrunk, projected, optimize=True)
