"""The linear head at its optimum: multinomial logistic regression.

The features are standardized, the L2 strength is chosen by cross-validation on
the training data alone, and the standardization is folded into the weights, so
that the result is a plain dense layer on the raw features.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import special

from tf_finetune.config import training_options
from tf_finetune.data import class_weights, progress
from tf_finetune.solvers import standardized_features

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """Cross-validation result of one regularization strength.

    Attributes:
        strength: C, the inverse of the L2 penalty.
        log_loss: Mean over all held-out pictures.
        accuracy: Mean over all held-out pictures, 0..1.
    """

    strength: float
    log_loss: float
    accuracy: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """A linear head solved to its optimum.

    Attributes:
        kernel: [width, classes] float32, for raw features.
        bias: [classes] float32.
        strength: C, the inverse of the L2 penalty, on standardized features.
        cross_validation: Every strength that was tried.
        out_of_fold: [n, classes], logits at that strength by solutions that
            did not see the example, NaN where none is; None without folds.
        note: A remark for the log; empty if there is none.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    cross_validation: tuple[Trial, ...]
    out_of_fold: np.ndarray | None
    note: str


def is_small(num_examples: int, width: int, num_classes: int) -> bool:
    """Whether `solve` is fast enough and fits into memory.

    Args:
        num_examples: Of the training split.
        width: Numbers in a feature vector.
        num_classes: Of the data.
    """
    # Features are rotated into at most min(n, width) dimensions.
    inner = min(num_examples, width)
    return (
        num_examples * inner * num_classes <= _MAX_MULTIPLICATIONS
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
) -> Probe:
    """Solves the head to its optimum.

    The strength with the lowest cross-validated log loss is taken: log loss
    uses every probability, where accuracy on small data jumps by whole
    pictures and leaves many strengths tied.

    Args:
        features: [n, width] raw features.
        labels: [n] class indices; every class occurs.
        groups: A key for each example; examples of one key are never divided
            between a solution and its validation. None: each stands alone.
        class_weight: "balanced" weighs classes inversely to their frequency,
            "effective_number" as data/class_weights.py does.
        standardized: Whether the penalty sees features of deviation 1; else
            it sees them as they are.
        seed: Of the folds.

    Source: Hastie et al. 2009, "The Elements of Statistical Learning",
    section 4.4.
    """
    with standardized_features.limit_threads(features):
        standard = standardized_features.standardize(
            features, scaled=standardized
        )
        folds = _make_folds(labels, groups, seed)
        return _solve(standard, labels, folds, class_weight)


def _solve(
    standard: standardized_features.StandardizedFeatures,
    labels: np.ndarray,
    folds: list[tuple[np.ndarray, np.ndarray]],
    class_weight: str,
) -> Probe:
    rows = standard.rows
    trials, left_out = _cross_validate(rows, labels, folds, class_weight)
    strength, note, out_of_fold = _DEFAULT_STRENGTH, "", None
    if trials:
        best = min(range(len(trials)), key=lambda i: trials[i].log_loss)
        strength, out_of_fold = trials[best].strength, left_out[best]
    else:
        note = "a class has one picture; strength not cross-validated"
    # On all pictures, along the same path of strengths: each solution is the
    # starting point of the next.
    coefficients, bias = _fit_path(
        rows, labels, [s for s in _STRENGTHS if s <= strength], class_weight
    )[-1]
    kernel, bias = standard.convert_to_raw(coefficients, bias)
    return Probe(
        kernel=kernel,
        bias=bias,
        strength=strength,
        cross_validation=trials,
        out_of_fold=out_of_fold,
        note=note,
    )


def _make_folds(
    labels: np.ndarray, groups: Sequence[str] | None, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns (fit, validation) indices per fold; none if a class is tiny."""
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
) -> tuple[tuple[Trial, ...], np.ndarray]:
    """Returns the trials and the left-out logits [strengths, n, classes]."""
    shape = [len(_STRENGTHS), len(rows), len(np.unique(labels))]
    left_out = np.full(shape if folds else [0], np.nan)
    if not folds:
        return (), left_out
    losses = np.zeros(len(_STRENGTHS))
    hits = np.zeros(len(_STRENGTHS))
    judged = sum(len(judge_on) for _, judge_on in folds)
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
            logits = rows[judge_on] @ coefficients + bias
            left_out[index, judge_on] = logits
            log_p = special.log_softmax(logits, axis=1)
            truth = labels[judge_on]
            # Summed over pictures, divided by all of them below: a mean of
            # fold means would weigh small folds more.
            losses[index] -= log_p[np.arange(len(truth)), truth].sum()
            hits[index] += (log_p.argmax(axis=1) == truth).sum()
    return tuple(
        Trial(strength=s, log_loss=loss / judged, accuracy=hit / judged)
        for s, loss, hit in zip(_STRENGTHS, losses, hits, strict=True)
    ), left_out


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
