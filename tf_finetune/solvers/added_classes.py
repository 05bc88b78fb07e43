"""Classes added to a linear head whose other classes keep their weights.

Multinomial logistic regression over the columns of the new classes alone: the
logits of the kept classes are constants. The ratio of the probabilities of two
kept classes is thus the same as before, for every picture.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import optimize, special

from tf_finetune.config import training_options
from tf_finetune.data import class_weights
from tf_finetune.solvers import head_problem, linear_probe

# Inverse strengths C, as of the whole head.
_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2)
_DEFAULT_STRENGTH = 1e-2
_ITERATIONS = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class AddedColumns:
    """Columns of new classes for raw features.

    Attributes:
        kernel: [width, new classes] float64.
        bias: [new classes] float64.
        strength: Inverse penalty C that was chosen.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float


def solve_columns(
    features: np.ndarray,
    labels: np.ndarray,
    logits: np.ndarray,
    new: Sequence[int],
    *,
    groups: Sequence[str] | None = None,
    example_weights: np.ndarray | None = None,
    class_weight: training_options.ClassWeight = "none",
    seed: int,
) -> AddedColumns:
    """Solves the columns of new classes beside the fixed logits of others.

    The strength with the lowest cross-validated log loss is taken, 0.01 where a
    class has too few examples for folds.

    Args:
        features: [n, width] raw features.
        labels: [n] class indices.
        logits: [n, classes], of the kept classes; those of new ones are not
            read.
        new: Indices of the new classes.
        groups: A key for each example; examples of one key share a fold.
        example_weights: [n], how often each example counts; None: once.
        class_weight: "balanced" weighs classes inversely to their frequency,
            "effective_number" less so, "none" all alike.
        seed: Seed of the folds.

    Returns:
        The columns at the optimum, in the order of `new`.

    Source: Hastie et al. 2009, "The Elements of Statistical Learning",
    section 4.4, with constant terms for the kept classes.
    """
    times = np.ones(len(labels)) if example_weights is None else example_weights
    counts = np.bincount(labels, times, minlength=logits.shape[1])
    weights = times
    if class_weight != "none":
        each = class_weights.weigh_classes(counts, class_weight)
        weights = times * each[labels]
    with head_problem.limit_threads(features):
        standard = head_problem.standardize(features)
        problem = _Problem(
            standard.rows, labels, logits, [*new], weights, times
        )
        strength = _DEFAULT_STRENGTH
        if folds := linear_probe.make_folds(labels, groups, seed):
            strength = _choose_strength(problem, folds)
        every = np.arange(len(labels))
        solved = _solve(problem, every, strength)
    kernel, bias = standard.convert_to_raw(solved[:-1], solved[-1])
    return AddedColumns(kernel=kernel, bias=bias, strength=strength)


@dataclasses.dataclass(frozen=True)
class _Problem:
    """Standardized rows, labels, all logits, new places, weights, counts."""

    rows: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    new: list[int]
    weights: np.ndarray
    times: np.ndarray

    def compute_log_p(self, of: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Returns log-probabilities [len(of), classes]."""
        logits = self.logits[of].astype("float64")
        # Logits of kept classes are constants of the problem.
        logits[:, self.new] = self.rows[of] @ columns[:-1] + columns[-1]
        return special.log_softmax(logits, axis=1)


def _choose_strength(
    problem: _Problem, folds: list[tuple[np.ndarray, np.ndarray]]
) -> float:
    losses = {}
    for strength in _STRENGTHS:
        held_out, times = [], []
        for fit_on, judge_on in folds:
            columns = _solve(problem, fit_on, strength)
            log_p = problem.compute_log_p(judge_on, columns)
            places = np.arange(len(judge_on))
            # -ln p of the true class: the log loss of held-out examples.
            held_out.append(-log_p[places, problem.labels[judge_on]])
            times.append(problem.times[judge_on])
        losses[strength] = float(
            np.average(np.concatenate(held_out), weights=np.concatenate(times))
        )
    return min(losses, key=losses.get)


def _solve(problem: _Problem, of: np.ndarray, strength: float) -> np.ndarray:
    """Returns columns and, in the last row, biases at the optimum."""
    rows, weights = problem.rows[of], problem.weights[of]
    shape = (rows.shape[1] + 1, len(problem.new))
    truth = problem.labels[of][:, np.newaxis] == np.array(problem.new)
    places = np.arange(len(of))

    def compute(flat: np.ndarray) -> tuple[float, np.ndarray]:
        columns = flat.reshape(shape)
        log_p = problem.compute_log_p(of, columns)
        # ½‖A‖² + C Σ w_i (-ln p_i); the biases are not penalized.
        loss = -(weights * log_p[places, problem.labels[of]]).sum()
        # ∂/∂z of -ln softmax(z)_y is p - y; the chain rule gives the rest.
        error = weights[:, np.newaxis] * (np.exp(log_p[:, problem.new]) - truth)
        gradient = np.vstack([rows.T @ error, error.sum(axis=0)]) * strength
        gradient[:-1] += columns[:-1]
        value = 0.5 * (columns[:-1] ** 2).sum() + strength * loss
        return float(value), gradient.ravel()

    found = optimize.minimize(
        compute,
        np.zeros(np.prod(shape)),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _ITERATIONS, "ftol": 1e-12, "gtol": 1e-7},
    )
    return found.x.reshape(shape)
