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

import numpy as np
from scipy import optimize, special

from tf_finetune import errors
from tf_finetune.config import training_options
from tf_finetune.solvers import (
    head_problem,
    linear_probe,
    probe_per_label,
    ridge_regression,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
    """Function from the logits of several heads (parts) to a weighted sum.

    Attributes:
        parts: Names of the heads.
        weights: [parts, outputs], none below 0.
        bias: [outputs].
    """

    parts: tuple[str, ...]
    weights: np.ndarray
    bias: np.ndarray

    def __call__(self, logits: Mapping[str, np.ndarray]) -> np.ndarray:
        """Computes the weighted sum of logits, [n, outputs].

        Args:
            logits: Name of the head → its logits, [n, outputs].
        """
        joined = np.stack([logits[name] for name in self.parts])
        return np.einsum("pno,po->no", joined, self.weights) + self.bias

    def extend(self, parts: tuple[str, ...]) -> "Stack":
        """Returns the same weighted sum over more heads, new ones weighing 0.

        Args:
            parts: Names of all heads, those of this stack among them.
        """
        weights = np.zeros([len(parts), self.weights.shape[1]])
        for name, row in zip(self.parts, self.weights, strict=True):
            weights[parts.index(name)] = row
        return Stack(parts=parts, weights=weights, bias=self.bias)


def take_alone(part: str, outputs: int) -> Stack:
    """Builds the stack that passes on the logits of a single head.

    Args:
        part: Name of the head.
        outputs: Number of logits.
    """
    return Stack(
        parts=(part,), weights=np.ones([1, outputs]), bias=np.zeros(outputs)
    )


def fit_least_squares(
    out_of_fold: Mapping[str, np.ndarray], targets: np.ndarray
) -> Stack:
    """Fits the weights of heads by non-negative least squares.

    Args:
        out_of_fold: Name of the head → [n, outputs], predictions of each
            example by a solution that was fitted without it.
        targets: [n, outputs].

    Returns:
        A stack with a weight per head and output, and a bias.
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
        # b = ȳ - Σ w_p · x̄_p.
        bias=targets.mean(axis=0) - np.einsum("op,po->o", means, weights),
    )


def fit_log_loss(
    out_of_fold: Mapping[str, np.ndarray],
    compute_loss: Callable[[np.ndarray], tuple[float, np.ndarray]],
    *,
    shared: bool,
) -> Stack:
    """Fits the weights of the heads' logits by log loss, none below 0.

    Args:
        out_of_fold: Name of the head → [n, outputs], logits of each example
            by a solution that was fitted without it.
        compute_loss: Logits [n, outputs] → log loss, summed over examples, and
            its gradient [n, outputs].
        shared: Whether all outputs have the same weight, as the classes of a
            softmax; else each has its own.

    Returns:
        A stack with a weight per head and output, and a bias.
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
            # One weight serves all outputs: their slopes add up.
            pull = pull.sum(axis=1, keepdims=True)
        # A normal prior around the mean of the parts: separable examples and
        # absent labels have no finite optimum without it.
        away = weights - 1 / count
        loss += 0.5 * (np.sum(away**2) + np.sum(bias**2))
        slopes = [(pull + away).ravel(), slope.sum(axis=0) + bias]
        return loss, np.concatenate(slopes)

    # Begins at the mean of the parts, the center of the prior.
    first = np.concatenate(
        [np.full(count * free, 1 / count), np.zeros(outputs)]
    )
    # No weight below 0 (Breiman 1996, section 2); biases are free.
    bounds = [(0.0, None)] * (count * free) + [(None, None)] * outputs
    found = optimize.minimize(
        measure, first, jac=True, method="L-BFGS-B", bounds=bounds
    ).x
    weights, bias = np.split(found, [count * free])
    weights = np.broadcast_to(
        weights.reshape(count, free), [count, outputs]
    ).copy()
    return Stack(parts=tuple(out_of_fold), weights=weights, bias=bias)


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadSolver:
    """Functions that fit heads and their weighted sum for a kind of task.

    Attributes:
        solve: Features [n, width] and targets [n, outputs] → a linear head;
            with the keywords `groups`, `class_weight`, `standardized` and
            `seed`.
        is_small: Numbers of rows and features, and `outputs` → whether
            `solve` is fast and fits into memory.
        measure: Logits and targets [n, outputs] → the mean loss that solutions
            minimize.
        fit_stack: Out-of-fold logits by name of the head, and targets → their
            weighted sum.
    """

    solve: Callable[..., head_problem.LinearHead]
    is_small: Callable[..., bool]
    measure: Callable[[np.ndarray, np.ndarray], float]
    fit_stack: Callable[[Mapping[str, np.ndarray], np.ndarray], Stack]


def find_solver(name: str) -> HeadSolver:
    """Finds the solver that fits the heads of a task.

    Args:
        name: The task's `network.solver`, such as "ridge".

    Raises:
        UsageError: Heads of the task have no such solver, only gradient
            steps.
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
) -> head_problem.LinearHead:
    del class_weight  # Targets are no classes.
    return ridge_regression.solve(
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
) -> head_problem.LinearHead:
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
    solve: Callable[..., head_problem.LinearHead],
    sum_loss: Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]],
    *,
    shared: bool,
) -> HeadSolver:
    return HeadSolver(
        solve=solve,
        is_small=linear_probe.is_small,
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
        is_small=lambda rows, width, outputs: ridge_regression.is_small(
            rows, width
        ),
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
