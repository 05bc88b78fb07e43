"""Solvers of a fusion by the task's solver: parts, their loss and their stack.

A part is a linear head on the features of some inputs. It is solved as the head
of single pictures is, and also gives logits of training rows that it did not
see.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from scipy import special

from tf_finetune import errors
from tf_finetune.config import training_options
from tf_finetune.inputs import stacking
from tf_finetune.solvers import (
    linear_probe,
    probe_per_label,
    ridge_regression,
)


class Solution(Protocol):
    """A solved linear head.

    Attributes:
        kernel: [width, outputs], for raw features.
        bias: [outputs].
        out_of_fold: [n, outputs], logits of training rows by solutions that
            did not see them, NaN where there is none; None without folds.
    """

    kernel: np.ndarray
    bias: np.ndarray
    out_of_fold: np.ndarray | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadSolver:
    """Solution of parts and of their stack for one kind of task.

    Attributes:
        solve: Features [n, width] and targets [n, outputs] → a solution; with
            the keywords `groups`, `class_weight`, `standardized` and `seed`.
        measure: Logits and targets → the mean loss that solutions minimize.
        fit_stack: By part out-of-fold logits, and targets → their stack.
    """

    solve: Callable[..., Solution]
    measure: Callable[[np.ndarray, np.ndarray], float]
    fit_stack: Callable[[Mapping[str, np.ndarray], np.ndarray], stacking.Stack]


def find_solver(name: str) -> HeadSolver:
    """Returns the solver for a task's `network.solver`.

    Raises:
        UsageError: The task's head has no solution in closed form.
    """
    if name not in _SOLVERS:
        raise errors.UsageError(
            f"Rows of several inputs need a task whose head is solved by "
            f"{', '.join(_SOLVERS)}; this one is trained by {name}. Leave "
            "--numeric_columns and --categorical_columns out, and name one "
            "--image_column."
        )
    return _SOLVERS[name]


def _solve_ridge(
    features: np.ndarray,
    targets: np.ndarray,
    *,
    groups: Sequence[str],
    class_weight: training_options.ClassWeight,
    standardized: bool,
    seed: int,
) -> ridge_regression.Ridge:
    del class_weight  # Targets are no classes.
    return ridge_regression.solve_ridge(
        features, targets, groups=groups, standardized=standardized, seed=seed
    )


def _solve_classes(
    features: np.ndarray,
    targets: np.ndarray,
    *,
    groups: Sequence[str],
    class_weight: training_options.ClassWeight,
    standardized: bool,
    seed: int,
) -> linear_probe.Probe:
    return linear_probe.solve(
        features,
        targets.argmax(axis=1),
        groups=groups,
        class_weight=class_weight,
        standardized=standardized,
        seed=seed,
    )


def _measure_squares(logits: np.ndarray, targets: np.ndarray) -> float:
    return float(np.mean((logits - targets) ** 2))


def _sum_softmax_loss(
    targets: np.ndarray, logits: np.ndarray
) -> tuple[float, np.ndarray]:
    log_p = special.log_softmax(logits, axis=1)
    # d(-Σ y log softmax(z)) / dz = softmax(z) - y.
    return float(-np.sum(targets * log_p)), np.exp(log_p) - targets


def _sum_sigmoid_loss(
    targets: np.ndarray, logits: np.ndarray
) -> tuple[float, np.ndarray]:
    # log(1 + exp(z)) - y z, and its derivative sigmoid(z) - y.
    losses = np.logaddexp(0.0, logits) - targets * logits
    return float(np.sum(losses)), special.expit(logits) - targets


def _make_probability_solver(
    solve: Callable[..., Solution],
    sum_loss: Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]],
    *,
    shared: bool,
) -> HeadSolver:
    return HeadSolver(
        solve=solve,
        measure=lambda logits, targets: (
            sum_loss(targets, logits)[0] / len(targets)
        ),
        fit_stack=lambda out_of_fold, targets: stacking.fit_log_loss(
            out_of_fold, functools.partial(sum_loss, targets), shared=shared
        ),
    )


_SOLVERS = {
    "ridge": HeadSolver(
        solve=_solve_ridge,
        measure=_measure_squares,
        fit_stack=stacking.fit_least_squares,
    ),
    "logistic": _make_probability_solver(
        _solve_classes, _sum_softmax_loss, shared=True
    ),
    "logistic_per_label": _make_probability_solver(
        probe_per_label.solve, _sum_sigmoid_loss, shared=False
    ),
}
