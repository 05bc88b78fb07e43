"""The linear head of independent labels at its optimum.

One L2-penalized logistic regression per label. All labels, and all folds of
their cross-validation, are the columns of one problem, so that each step of the
solver is two matrix products however many there are.
"""

from collections.abc import Sequence

import numpy as np

from tf_finetune.config import training_options
from tf_finetune.data import class_weights, progress, stratified_split
from tf_finetune.solvers import head_problem, linear_probe, logistic_columns

# Inverse strengths C, from strong to weak: each solution starts the next one.
_STRENGTHS = tuple(10.0**exponent for exponent in np.arange(-4, 2.5, 0.5))
# Used where there are too few pictures to cross-validate.
_DEFAULT_STRENGTH = 1e-3
_FOLDS = 5
# The search ends after this many strengths in a row that improve no label:
# the weaker the penalty, the longer a solution takes.
_PATIENCE = 2


def solve_head(problem: head_problem.Problem) -> head_problem.Solution | None:
    """Fits a linear head by one logistic regression per label.

    Args:
        problem: Its targets are rows of 0 and 1; its loss is not read.

    Returns:
        The weights at the optimum; None if the problem is too large.
    """
    features, targets = problem.features, problem.targets.values
    if not linear_probe.is_small(
        len(features), features.width, targets.shape[1]
    ):
        return None
    solved = solve(
        features.all(),
        targets,
        groups=problem.groups,
        class_weight=problem.config.training.class_weight,
        seed=problem.config.seed,
    )
    # Each label has its own strength; the log shows their range.
    low, high = solved.strengths.min(), solved.strengths.max()
    return solved.to_solution(
        f"{len(solved.bias)} logistic regressions at their optima, strengths "
        f"C={low:.2g} to {high:.2g}"
    )


def solve(
    features: np.ndarray,
    targets: np.ndarray,
    *,
    groups: Sequence[str] | None = None,
    class_weight: training_options.ClassWeight = "none",
    standardized: bool = True,
    seed: int,
) -> head_problem.LinearHead:
    """Fits one logistic regression per label to its optimum.

    Each label has the strength with the lowest cross-validated log loss; labels
    too rare for folds that of the others together, or 0.001. A label that all
    or none of the examples carry has no optimum; it gets the probability
    (count + 1/2) / (n + 1) for every picture.

    Args:
        features: [n, width] raw features.
        targets: [n, labels] of 0 and 1.
        groups: A key for each example; examples of one key are in the same
            fold. None: each is a group of its own.
        class_weight: "balanced" and "effective_number" give the fewer of the
            examples with and without a label more weight, "none" equal ones.
        standardized: Whether the penalty acts on features of deviation 1; else
            on centered features of their own scale.
        seed: Seed of the folds.

    Returns:
        The head; its `strengths` [labels] are inverse penalties C.

    Source: Hastie et al. 2009, "The Elements of Statistical Learning",
    section 4.4.
    """
    with head_problem.limit_threads(features):
        standard = head_problem.standardize(features, scaled=standardized)
        return _solve(standard, targets > 0.5, groups, class_weight, seed)


def _solve(
    standard: head_problem.StandardizedFeatures,
    targets: np.ndarray,
    groups: Sequence[str] | None,
    class_weight: training_options.ClassWeight,
    seed: int,
) -> head_problem.LinearHead:
    rows, axes = _rotate_to_principal_axes(standard.rows)
    weights = _make_weights(targets, class_weight)
    tried = _cross_validate(
        rows, targets, weights, _make_folds(targets, groups, seed)
    )
    strengths, note = _choose_strengths(tried)
    # Of the strengths that were tried, the one nearest to each label's.
    distance = np.log(tried.strengths)[:, np.newaxis] - np.log(strengths)
    nearest = np.abs(distance).argmin(axis=0)
    problem = logistic_columns.LogisticColumns(rows, targets, weights)
    found = problem.find_optimum(strengths)
    kernel, bias = standard.convert_to_raw(
        axes @ found.coefficients, found.bias
    )
    return head_problem.LinearHead(
        kernel=kernel,
        bias=bias,
        strengths=strengths,
        cross_validation=tried,
        out_of_fold=tried.select_left_out(nearest),
        note=note,
    )


def _rotate_to_principal_axes(
    rows: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Rotates rows onto their principal axes; returns rows and axes."""
    # Eigenvectors of rowsᵀ·rows: in these axes the penalty is unchanged and the
    # curvature of the null model diagonal.
    _, axes = np.linalg.eigh(rows.T @ rows)
    return rows @ axes, axes


def _make_weights(
    targets: np.ndarray, kind: training_options.ClassWeight
) -> np.ndarray:
    """Returns the weight [n, labels] of each pair of example and label."""
    both = class_weights.weigh_labels(targets.sum(axis=0), len(targets), kind)
    if both is None:
        return np.ones(targets.shape)
    return np.where(targets, both[1], both[0])


def _make_folds(
    targets: np.ndarray, groups: Sequence[str] | None, seed: int
) -> np.ndarray:
    """Returns the fold of each example, [n], stratified over all labels."""
    # Groups are divided, not examples: a row of counts for each group.
    keys = np.arange(len(targets)) if groups is None else np.asarray(groups)
    _, unit = np.unique(keys, return_inverse=True)
    counts = np.zeros([unit.max() + 1, targets.shape[1]])
    np.add.at(counts, unit, targets)
    # Shuffled first: groups with equal counts are assigned in their order.
    order = np.random.default_rng(seed).permutation(len(counts))
    parts = np.empty(len(counts), int)
    parts[order] = stratified_split.assign_parts(
        counts[order], np.full(_FOLDS, 1 / _FOLDS)
    )
    return parts[unit]


def _cross_validate(
    rows: np.ndarray, targets: np.ndarray, weights: np.ndarray, fold: np.ndarray
) -> head_problem.CrossValidation:
    """Cross-validates every strength; a column is a label and a fold."""
    # Weight 0 takes the held-out examples of a column out of its fit.
    labels = targets.shape[1]
    out = np.stack([fold == each for each in range(_FOLDS)], axis=1)
    out = np.repeat(out, labels, axis=1)
    truth, weigh = np.tile(targets, _FOLDS), np.tile(weights, _FOLDS)
    problem = logistic_columns.LogisticColumns(
        rows, truth, np.where(out, 0.0, weigh)
    )
    # A label is unknown if one fold holds all examples that carry it: the
    # other folds would then reward never predicting it.
    is_known = problem.is_mixed.reshape(_FOLDS, labels).all(axis=0)
    losses, left_out, found = [], [], None
    shown = progress.track(
        _STRENGTHS,
        total=len(_STRENGTHS),
        title="Solving the head",
        unit="strengths",
        is_brief=True,
    )
    for strength in shown:
        found = problem.find_optimum(np.full(truth.shape[1], strength), found)
        # Of each example the loss in the one fold that leaves it out.
        each = np.where(out, weigh * problem.losses(found), 0.0)
        total = each.sum(axis=0).reshape(_FOLDS, labels).sum(axis=0)
        losses.append(np.where(is_known, total / len(rows), np.nan))
        # Of each example the logits of the one fold that leaves it out.
        logits = np.where(out, rows @ found.coefficients + found.bias, 0.0)
        left_out.append(logits.reshape(-1, _FOLDS, labels).sum(axis=1))
        # From strong to weak: beyond the optimum the loss only rises.
        if _is_past_best(losses):
            break
    return head_problem.CrossValidation(
        strengths=_STRENGTHS[: len(losses)],
        losses=np.stack(losses),
        left_out=np.stack(left_out),
    )


def _is_past_best(losses: Sequence[np.ndarray]) -> bool:
    """Whether no label improved at the last strengths that were tried."""
    if len(losses) <= _PATIENCE:
        return False
    # Comparisons with NaN are false: labels without a loss do not count.
    before = np.min(losses[:-_PATIENCE], axis=0)
    return not np.any(np.min(losses[-_PATIENCE:], axis=0) < before)


def _choose_strengths(
    found: head_problem.CrossValidation,
) -> tuple[np.ndarray, str]:
    """Returns the best strength of each label, and a note.

    Labels that cannot be cross-validated get the strength that is best for
    the others together.
    """
    losses, tried = found.losses, np.array(found.strengths)
    labels = losses.shape[1]
    known = np.isfinite(losses).all(axis=0)
    if not known.any():
        return (
            np.full(labels, _DEFAULT_STRENGTH),
            "labels too rare; strength not cross-validated",
        )
    together = tried[losses[:, known].sum(axis=1).argmin()]
    strengths = np.full(labels, together)
    strengths[known] = tried[losses[:, known].argmin(axis=0)]
    rare = int(np.sum(~known))
    note = f"{rare} of {labels} labels too rare to cross-validate"
    return strengths, note if rare else ""
