"""Stacking: predictions of several parts, combined by non-negative weights.

The weights are fitted on predictions of training examples by models that did
not see them, so that a part gains nothing by overfitting.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from scipy import optimize


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
    """A weighted sum of parts, target by target.

    Attributes:
        parts: The names of the parts.
        weights: [parts, targets], none below 0.
        bias: [targets].
    """

    parts: tuple[str, ...]
    weights: np.ndarray
    bias: np.ndarray

    def __call__(self, predictions: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns [n, targets] of each part's predictions [n, targets]."""
        joined = np.stack([predictions[name] for name in self.parts])
        return np.einsum("pnt,pt->nt", joined, self.weights) + self.bias


def fit_stack(
    out_of_fold: Mapping[str, np.ndarray], targets: np.ndarray
) -> Stack:
    """Fits the weights of the parts by non-negative least squares.

    Args:
        out_of_fold: By part, [n, targets]: predictions of each example by a
            solution that did not see it.
        targets: [n, targets].

    Source: Breiman 1996, "Stacked Regressions", section 2 (weights that are
    not negative, on cross-validated predictions); van der Laan et al. 2007,
    "Super Learner", section 2.
    """
    parts = tuple(out_of_fold)
    joined = np.stack([out_of_fold[name] for name in parts], axis=-1)
    means = joined.mean(axis=0)
    # Both sides centered, which fits the bias along with the weights.
    columns = [
        optimize.nnls(
            joined[:, target] - means[target],
            targets[:, target] - targets[:, target].mean(),
        )[0]
        for target in range(targets.shape[1])
    ]
    weights = np.stack(columns, axis=1)
    return Stack(
        parts=parts,
        weights=weights,
        bias=targets.mean(axis=0) - np.einsum("tp,pt->t", means, weights),
    )


def build_single_part(
    part: str, parts: tuple[str, ...], num_targets: int
) -> Stack:
    """Returns a stack of one part alone: weight 1, the others 0."""
    weights = np.zeros([len(parts), num_targets])
    weights[parts.index(part)] = 1
    return Stack(parts=parts, weights=weights, bias=np.zeros(num_targets))


def add_parts(stack: Stack, parts: tuple[str, ...]) -> Stack:
    """Extends a stack by further parts with a weight of 0."""
    weights = np.zeros([len(parts), stack.weights.shape[1]])
    for name, row in zip(stack.parts, stack.weights, strict=True):
        weights[parts.index(name)] = row
    return Stack(parts=parts, weights=weights, bias=stack.bias)
