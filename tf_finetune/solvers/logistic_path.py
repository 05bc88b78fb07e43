"""Multinomial logistic regression along a path of strengths."""

from collections.abc import Sequence

import numpy as np

from tf_finetune.config import training_options
from tf_finetune.data import class_weights

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2)
"""Inverse penalties C that are cross-validated, from strong to weak."""

_ITERATIONS = 1000


def list_strengths(last: float) -> list[float]:
    """Lists ascending strengths, powers of 10, for a path that ends at `last`.

    Args:
        last: Inverse penalty C, above 0, the last of the result.
    """
    return [*(each for each in STRENGTHS if each < last), last]


def fit_path(
    rows: np.ndarray,
    labels: np.ndarray,
    strengths: Sequence[float],
    class_weight: training_options.ClassWeight,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Fits the regression for each strength, starting from the one before.

    Args:
        rows: [n, width], standardized features.
        labels: [n] class indices; every class occurs.
        strengths: Inverse penalties C, from strong to weak.
        class_weight: As `--class_weight` has it.

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
