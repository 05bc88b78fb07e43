"""The linear head at its optimum: multinomial logistic regression.

The features are standardized, the L2 strength is chosen by cross-validation on
the training data alone, and the standardization is folded into the weights, so
that the result is a plain dense layer on the raw features.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from absl import logging
from scipy import special

from tf_finetune.config import training_options
from tf_finetune.data import progress
from tf_finetune.solvers import head_problem, logistic_path

# The head from which fine-tuning starts has at least this L2 penalty a picture,
# 1/(C n). A nearly unregularized one fits the training pictures already, which
# leaves fine-tuning hardly any gradient. A limit on C itself is too strong for
# few pictures: fine-tuning ends before it has made up for it (docs/recipe.md).
_MIN_START_PENALTY = 0.15
# Used where there are too few pictures to cross-validate.
_DEFAULT_STRENGTH = 1e-2
_FOLDS = 5
# Multiplications of one pass over the data up to which the exact solver takes
# about a minute at most on two cores, cross-validation included.
_MAX_MULTIPLICATIONS = 1e8
# Largest feature matrix, in numbers: each float64 copy of it takes 160 MB.
_MAX_MATRIX_SIZE = 2e7


def solve_head(problem: head_problem.Problem) -> head_problem.Solution | None:
    """Fits a linear head by logistic regression over classes.

    Args:
        problem: Its targets are one-hot rows; its loss is not read.

    Returns:
        The weights at the optimum; None if the problem is too large.
    """
    # Solved in memory with scikit-learn, hence the limit on size.
    features, targets = problem.features, problem.targets.values
    if not is_small(len(features), features.width, targets.shape[1]):
        if isinstance(problem.start_strength, float):
            logging.warning(
                "--head_start_strength=%g has no effect: the problem is too "
                "large to be solved; the head is trained by gradient steps",
                problem.start_strength,
            )
        return None
    solved = solve(
        features.all(),
        targets.argmax(axis=1),
        groups=problem.groups,
        class_weight=problem.config.training.class_weight,
        seed=problem.config.seed,
    )
    found = solved.to_solution(
        "logistic regression at its optimum, strength "
        f"C={solved.strengths[0]:g}"
    )
    return _add_start(problem, found, float(solved.strengths[0]))


def _add_start(
    problem: head_problem.Problem,
    found: head_problem.Solution,
    strength: float,
) -> head_problem.Solution:
    """Adds the weights from which fine-tuning starts, if they are others."""
    wanted = problem.start_strength
    if wanted in (None, "probe"):
        return found
    if wanted == "auto":
        # Σ loss + ‖w‖²/(2 C) is n times the mean loss + ‖w‖²/(2 C n).
        most = 1 / (_MIN_START_PENALTY * len(problem.features))
        wanted = min(strength, most)
    if wanted == strength:
        return found
    start = solve_at_strength(
        problem.features.all(),
        problem.targets.values.argmax(axis=1),
        strength=wanted,
        class_weight=problem.config.training.class_weight,
    )
    return dataclasses.replace(
        found,
        how=f"{found.how}; fine-tuning starts from that with C={wanted:g} "
        "(--head_start_strength)",
        start=start.to_solution("").weights,
    )


def is_small(num_examples: int, width: int, outputs: int) -> bool:
    """Returns whether `solve` is fast enough and fits into memory.

    Args:
        num_examples: Number of training examples.
        width: Length of a feature vector.
        outputs: Number of classes or labels.
    """
    # Features are rotated into at most min(n, width) dimensions.
    inner = min(num_examples, width)
    return (
        num_examples * inner * outputs <= _MAX_MULTIPLICATIONS
        and num_examples * width <= _MAX_MATRIX_SIZE
    )


def solve(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    groups: Sequence[str] | None = None,
    class_weight: training_options.ClassWeight = "none",
    standardized: bool = True,
    seed: int,
) -> head_problem.LinearHead:
    """Fits multinomial logistic regression to its optimum.

    The strength with the lowest cross-validated log loss is taken: log loss
    uses every probability, where accuracy on small data jumps by whole
    pictures and leaves many strengths tied. It is 0.01 where a class has too
    few examples for folds.

    Args:
        features: [n, width] raw features.
        labels: [n] class indices; every class occurs.
        groups: A key for each example; examples of one key are in the same
            fold. None: each is a group of its own.
        class_weight: "balanced" weighs classes inversely to their frequency,
            "effective_number" less so, "none" all alike.
        standardized: Whether the penalty acts on features of deviation 1; else
            on centered features of their own scale.
        seed: Seed of the folds.

    Returns:
        The head; its `strengths` [1] is the inverse penalty C.

    Source: Hastie et al. 2009, "The Elements of Statistical Learning",
    section 4.4.
    """
    with head_problem.limit_threads(features):
        standard = head_problem.standardize(features, scaled=standardized)
        folds = make_folds(labels, groups, seed)
        return _solve(standard, labels, folds, class_weight)


def solve_at_strength(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    strength: float,
    class_weight: training_options.ClassWeight = "none",
) -> head_problem.LinearHead:
    """Fits multinomial logistic regression with a strength that is given.

    Args:
        features: [n, width] raw features, which are standardized.
        labels: [n] class indices; every class occurs.
        strength: Inverse penalty C, above 0.
        class_weight: "balanced", "effective_number" or "none", as in `solve`.

    Returns:
        The head; nothing is cross-validated.
    """
    with head_problem.limit_threads(features):
        standard = head_problem.standardize(features)
        return _fit_head(standard, labels, strength, class_weight)


def _solve(
    standard: head_problem.StandardizedFeatures,
    labels: np.ndarray,
    folds: list[tuple[np.ndarray, np.ndarray]],
    class_weight: str,
) -> head_problem.LinearHead:
    if not folds:
        head = _fit_head(standard, labels, _DEFAULT_STRENGTH, class_weight)
        note = "a class has one picture; strength not cross-validated"
        return dataclasses.replace(head, note=note)
    tried = _cross_validate(standard.rows, labels, folds, class_weight)
    best = int(tried.losses[:, 0].argmin())
    strength = logistic_path.STRENGTHS[best]
    return dataclasses.replace(
        _fit_head(standard, labels, strength, class_weight),
        cross_validation=tried,
        out_of_fold=tried.left_out[best],
    )


def _fit_head(
    standard: head_problem.StandardizedFeatures,
    labels: np.ndarray,
    strength: float,
    class_weight: str,
) -> head_problem.LinearHead:
    """Fits the head on all pictures, without cross-validation."""
    # Along the path of strengths: each solution is the starting point of the
    # next.
    coefficients, bias = logistic_path.fit_path(
        standard.rows,
        labels,
        logistic_path.list_strengths(strength),
        class_weight,
    )[-1]
    kernel, bias = standard.convert_to_raw(coefficients, bias)
    return head_problem.LinearHead(
        kernel=kernel,
        bias=bias,
        strengths=np.array([strength]),
        cross_validation=None,
        out_of_fold=None,
        note="",
    )


def make_folds(
    labels: np.ndarray, groups: Sequence[str] | None, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divides examples into up to five stratified folds.

    Args:
        labels: [n] class indices.
        groups: A key for each example, which folds do not divide; None: each
            is a group of its own.
        seed: Seed of the draw.

    Returns:
        Pairs of the indices to fit on and to validate on; empty if a class has
        one group.
    """
    from sklearn import model_selection

    # A class needs two groups at least: one to fit, one to validate on.
    keys = np.arange(len(labels)) if groups is None else np.asarray(groups)
    smallest = min(
        len(np.unique(keys[labels == each])) for each in np.unique(labels)
    )
    count = min(_FOLDS, smallest)
    if count < 2:
        return []
    splitter = model_selection.StratifiedGroupKFold(
        count, shuffle=True, random_state=seed
    )
    folds = splitter.split(np.zeros(len(labels)), labels, keys)
    every = len(np.unique(labels))
    # Folds by whole groups may still miss a class: those are left out.
    return [
        (solve_on, judge_on)
        for solve_on, judge_on in folds
        if len(np.unique(labels[solve_on])) == every and len(judge_on)
    ]


def _cross_validate(
    rows: np.ndarray,
    labels: np.ndarray,
    folds: list[tuple[np.ndarray, np.ndarray]],
    class_weight: str,
) -> head_problem.CrossValidation:
    """Cross-validates every strength by the log loss of held-out examples."""
    shape = [len(logistic_path.STRENGTHS), len(rows), len(np.unique(labels))]
    left_out = np.full(shape, np.nan)
    shown = progress.track(
        folds,
        total=len(folds),
        title="Solving the head",
        unit="folds",
        is_brief=True,
    )
    for solve_on, judge_on in shown:
        path = logistic_path.fit_path(
            rows[solve_on],
            labels[solve_on],
            logistic_path.STRENGTHS,
            class_weight,
        )
        for index, (coefficients, bias) in enumerate(path):
            left_out[index, judge_on] = rows[judge_on] @ coefficients + bias
    # Over all held-out examples: a mean of fold means would weigh small folds
    # more.
    held_out = np.flatnonzero(np.isfinite(left_out[0, :, 0]))
    # Log loss: -ln softmax(z)_y.
    log_p = special.log_softmax(left_out[:, held_out], axis=2)
    true = log_p[:, np.arange(len(held_out)), labels[held_out]]
    return head_problem.CrossValidation(
        strengths=logistic_path.STRENGTHS,
        losses=-true.mean(axis=1, keepdims=True),
        left_out=left_out,
    )
