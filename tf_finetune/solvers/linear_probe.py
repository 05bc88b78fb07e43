"""The linear head at its optimum: multinomial logistic regression.

The features are standardized, the L2 strength is chosen by cross-validation on
the training data alone, and the standardization is folded into the weights, so
that the result is a plain dense layer on the raw features.
"""

from collections.abc import Sequence

import numpy as np
from scipy import special

from tf_finetune.config import training_options
from tf_finetune.data import class_weights, progress
from tf_finetune.solvers import head_problem

# Inverse strengths C, from strong to weak: each solution starts the next one.
_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2)
# Used where there are too few pictures to cross-validate.
_DEFAULT_STRENGTH = 1e-2
_FOLDS = 5
_ITERATIONS = 1000
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
        return None
    solved = solve(
        features.all(),
        targets.argmax(axis=1),
        groups=problem.groups,
        class_weight=problem.config.training.class_weight,
        seed=problem.config.seed,
    )
    return solved.to_solution(
        "logistic regression at its optimum, strength "
        f"C={solved.strengths[0]:g}"
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
    pictures and leaves many strengths tied.

    Args:
        features: [n, width] raw features.
        labels: [n] class indices; every class occurs.
        groups: A key for each example; examples of one key are in the same
            fold. None: each is a group of its own.
        class_weight: "balanced" weighs classes inversely to their frequency,
            "effective_number" as data/class_weights.py does.
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


def _solve(
    standard: head_problem.StandardizedFeatures,
    labels: np.ndarray,
    folds: list[tuple[np.ndarray, np.ndarray]],
    class_weight: str,
) -> head_problem.LinearHead:
    rows, tried = standard.rows, None
    strength, note, out_of_fold = _DEFAULT_STRENGTH, "", None
    if folds:
        tried = _cross_validate(rows, labels, folds, class_weight)
        best = int(tried.losses[:, 0].argmin())
        strength, out_of_fold = _STRENGTHS[best], tried.left_out[best]
    else:
        note = "a class has one picture; strength not cross-validated"
    # On all pictures, along the same path of strengths: each solution is the
    # starting point of the next.
    coefficients, bias = _fit_path(
        rows, labels, [s for s in _STRENGTHS if s <= strength], class_weight
    )[-1]
    kernel, bias = standard.convert_to_raw(coefficients, bias)
    return head_problem.LinearHead(
        kernel=kernel,
        bias=bias,
        strengths=np.array([strength]),
        cross_validation=tried,
        out_of_fold=out_of_fold,
        note=note,
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
    shape = [len(_STRENGTHS), len(rows), len(np.unique(labels))]
    left_out = np.full(shape, np.nan)
    shown = progress.track(
        folds,
        total=len(folds),
        title="Solving the head",
        unit="folds",
        is_brief=True,
    )
    for solve_on, judge_on in shown:
        path = _fit_path(
            rows[solve_on], labels[solve_on], _STRENGTHS, class_weight
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
        strengths=_STRENGTHS,
        losses=-true.mean(axis=1, keepdims=True),
        left_out=left_out,
    )


def _fit_path(
    rows: np.ndarray,
    labels: np.ndarray,
    strengths: Sequence[float],
    class_weight: str,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Fits the regression for each strength, warm-started from the last.

    Returns:
        (coefficients [width, classes], bias [classes]) for each strength.
    """
    from sklearn import linear_model

    model = linear_model.LogisticRegression(
        max_iter=_ITERATIONS,
        tol=1e-6,
        warm_start=True,
        class_weight=_choose_class_weight(labels, class_weight),
    )
    path = []
    for strength in strengths:
        model.set_params(C=strength)
        model.fit(rows, labels)
        path.append(_make_softmax_columns(model.coef_, model.intercept_))
    return path


def _choose_class_weight(
    labels: np.ndarray, kind: str
) -> str | dict[int, float] | None:
    """Returns class weights as scikit-learn takes them."""
    if kind == "effective_number":
        weights = class_weights.weigh_by_effective_number(np.bincount(labels))
        return dict(enumerate(weights.tolist()))
    return None if kind == "none" else kind


def _make_softmax_columns(
    coefficients: np.ndarray, intercept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns one column per class from scikit-learn's coefficients."""
    # Two classes are solved with one row w: softmax of (-w/2, w/2) is
    # sigmoid(w).
    if len(coefficients) > 1:
        return coefficients.T.copy(), intercept.copy()
    half = coefficients[0] / 2
    return (
        np.stack([-half, half], axis=1),
        np.array([-intercept[0], intercept[0]]) / 2,
    )
