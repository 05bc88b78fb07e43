"""Solvers of a fusion by the task's solver: parts, their loss and their stack.

A part is a linear head on the features of some inputs. It is solved as the head
of single pictures is, and also gives logits of training rows that it did not
see. The weights of a stack are fitted on these, so that a part gains nothing by
overfitting.

Source: Breiman 1996, "Stacked Regressions", section 2 (weights that are not
negative, on cross-validated predictions); van der Laan et al. 2007, "Super
Learner", section 2 (the same for other losses).
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from scipy import optimize, special

from tf_finetune import errors
from tf_finetune.config import training_options
from tf_finetune.solvers import (
    linear_probe,
    probe_per_label,
    ridge_regression,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
    """A weighted sum of parts, output by output.

    Attributes:
        parts: The names of the parts.
        weights: [parts, outputs], none below 0.
        bias: [outputs].
    """

    parts: tuple[str, ...]
    weights: np.ndarray
    bias: np.ndarray

    def __call__(self, logits: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns [n, outputs] of each part's logits [n, outputs]."""
        joined = np.stack([logits[name] for name in self.parts])
        return np.einsum("pno,po->no", joined, self.weights) + self.bias

    def extend(self, parts: tuple[str, ...]) -> "Stack":
        """Adds further parts, with a weight of 0."""
        weights = np.zeros([len(parts), self.weights.shape[1]])
        for name, row in zip(self.parts, self.weights, strict=True):
            weights[parts.index(name)] = row
        return Stack(parts=parts, weights=weights, bias=self.bias)


def take_alone(part: str, outputs: int) -> Stack:
    """Returns a stack of one part alone, with weight 1."""
    return Stack(
        parts=(part,), weights=np.ones([1, outputs]), bias=np.zeros(outputs)
    )


def fit_least_squares(
    out_of_fold: Mapping[str, np.ndarray], targets: np.ndarray
) -> Stack:
    """Fits the weights of the parts by non-negative least squares.

    Args:
        out_of_fold: By part, [n, outputs]: predictions of each example by a
            solution that did not see it.
        targets: [n, outputs].
    """
    joined = np.stack([*out_of_fold.values()], axis=-1)
    means = joined.mean(axis=0)
    # Both sides centered, which fits the bias along with the weights.
    columns = [
        optimize.nnls(
            joined[:, output] - means[output],
            targets[:, output] - targets[:, output].mean(),
        )[0]
        for output in range(targets.shape[1])
    ]
    weights = np.stack(columns, axis=1)
    return Stack(
        parts=tuple(out_of_fold),
        weights=weights,
        bias=targets.mean(axis=0) - np.einsum("op,po->o", means, weights),
    )


def fit_log_loss(
    out_of_fold: Mapping[str, np.ndarray],
    compute_loss: Callable[[np.ndarray], tuple[float, np.ndarray]],
    *,
    shared: bool,
) -> Stack:
    """Fits the weights of the parts' logits by the log loss.

    Args:
        out_of_fold: By part, logits [n, outputs] of each example by a solution
            that did not see it.
        compute_loss: Logits [n, outputs] → log loss, summed over examples, and
            its gradient [n, outputs].
        shared: Whether all outputs have the same weight, as the classes of a
            softmax; else each has its own.
    """
    joined = np.stack([*out_of_fold.values()])
    count, _, outputs = joined.shape
    free = 1 if shared else outputs

    def measure(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = np.split(flat.reshape(-1), [count * free])
        weights = weights.reshape(count, free)
        wide = np.broadcast_to(weights, [count, outputs])
        logits = np.einsum("pno,po->no", joined, wide) + bias
        loss, slope = compute_loss(logits)
        pull = np.einsum("no,pno->po", slope, joined)
        if shared:
            pull = pull.sum(axis=1, keepdims=True)
        # A normal prior around the mean of the parts: separable examples and
        # absent labels have no finite optimum without it.
        away = weights - 1 / count
        loss += 0.5 * (np.sum(away**2) + np.sum(bias**2))
        slopes = [(pull + away).ravel(), slope.sum(axis=0) + bias]
        return loss, np.concatenate(slopes)

    first = np.concatenate(
        [np.full(count * free, 1 / count), np.zeros(outputs)]
    )
    bounds = [(0.0, None)] * (count * free) + [(None, None)] * outputs
    found = optimize.minimize(
        measure, first, jac=True, method="L-BFGS-B", bounds=bounds
    ).x
    weights, bias = np.split(found, [count * free])
    weights = np.broadcast_to(
        weights.reshape(count, free), [count, outputs]
    ).copy()
    return Stack(parts=tuple(out_of_fold), weights=weights, bias=bias)


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
    fit_stack: Callable[[Mapping[str, np.ndarray], np.ndarray], Stack]


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
        fit_stack=lambda out_of_fold, targets: fit_log_loss(
            out_of_fold, functools.partial(sum_loss, targets), shared=shared
        ),
    )


_SOLVERS = {
    "ridge": HeadSolver(
        solve=_solve_ridge,
        measure=_measure_squares,
        fit_stack=fit_least_squares,
    ),
    "logistic": _make_probability_solver(
        _solve_classes, _sum_softmax_loss, shared=True
    ),
    "logistic_per_label": _make_probability_solver(
        probe_per_label.solve, _sum_sigmoid_loss, shared=False
    ),
}
