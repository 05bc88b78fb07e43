"""Stacking: logits of several parts, combined by non-negative weights.

The weights are fitted on logits of training examples by solutions that did not
see them, so that a part gains nothing by overfitting.

Source: Breiman 1996, "Stacked Regressions", section 2 (weights that are not
negative, on cross-validated predictions); van der Laan et al. 2007, "Super
Learner", section 2 (the same for other losses).
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from scipy import optimize


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
