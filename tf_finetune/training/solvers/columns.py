"""Independent logistic regressions on the same rows, solved together."""

import dataclasses

import numpy as np
from scipy import optimize, special

_ITERATIONS = 1000
# Largest slope, over all examples, of what counts as an optimum.
_SLOPE = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimum:
    """What was solved.

    Attributes:
        coefficients: [width, columns].
        bias: [columns].
    """

    coefficients: np.ndarray
    bias: np.ndarray


class Columns:
    """L2-penalised logistic regressions, one a column.

    Attributes:
        is_mixed: [columns], whether there are examples of both kinds; where
            there are not, there is no optimum.
    """

    def __init__(
        self, rows: np.ndarray, targets: np.ndarray, weights: np.ndarray
    ) -> None:
        """Measures the curvature from which the solver starts.

        Args:
            rows: [n, width], axes orthogonal.
            targets: [n, columns] booleans.
            weights: [n, columns] of the examples, at least 0.
        """
        present = np.sum(weights * targets, axis=0)
        total = np.sum(weights, axis=0)
        self.is_mixed = (present > 0) & (present < total)
        self._rows = rows
        self._signs = np.where(targets, 1.0, -1.0)
        self._weights = np.where(self.is_mixed, weights, 0.0)
        # Without coefficients every picture has the same probability.
        share = (present + 0.5) / (total + 1.0)
        self._null = np.log(share / (1 - share))
        self._curvature = np.maximum(share * (1 - share) * total, 1e-3)
        self._sizes = np.mean(rows**2, axis=0)

    def losses(self, at: Optimum) -> np.ndarray:
        """Returns the log loss [n, columns] of each example, unweighted."""
        logits = self._rows @ at.coefficients + at.bias
        return np.logaddexp(0.0, -self._signs * logits)

    def optimum(
        self, strengths: np.ndarray, start: Optimum | None = None
    ) -> Optimum:
        """Solves all columns, each with its own strength.

        By L-BFGS (Liu and Nocedal 1989) in coordinates in which the curvature
        is about that of a sphere: the axes of the rows are orthogonal, so that
        the curvature at the null model is diagonal and divided out.

        Args:
            strengths: [columns], C.
            start: Where to begin; None: at the null model.
        """
        penalty = 1.0 / strengths
        curved = self._sizes[:, np.newaxis] * self._curvature + penalty
        steps = np.vstack([1 / np.sqrt(curved), 1 / np.sqrt(self._curvature)])
        first = np.zeros(steps.shape)
        first[-1] = self._null
        if start is not None:
            first = np.vstack([start.coefficients, start.bias])

        def slope(flat: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = self._objective(
                flat.reshape(steps.shape) * steps, penalty
            )
            return value, (gradient * steps).ravel()

        found = (
            optimize.minimize(
                slope,
                (first / steps).ravel(),
                jac=True,
                method="L-BFGS-B",
                options={
                    "maxiter": _ITERATIONS,
                    "maxfun": 2 * _ITERATIONS,
                    "gtol": _SLOPE,
                    "ftol": 0.0,
                },
            ).x.reshape(steps.shape)
            * steps
        )
        return Optimum(coefficients=found[:-1], bias=found[-1])

    def _objective(
        self, found: np.ndarray, penalty: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Returns penalised loss and its slope [width + 1, columns]."""
        coefficients, bias = found[:-1], found[-1]
        margins = self._signs * (self._rows @ coefficients + bias)
        wrong = special.expit(-margins)
        pull = -self._weights * self._signs * wrong
        slopes = np.vstack([self._rows.T @ pull, pull.sum(axis=0)])
        slopes[:-1] += penalty * coefficients
        loss = np.sum(self._weights * np.logaddexp(0.0, -margins))
        return loss + 0.5 * np.sum(penalty * coefficients**2), slopes
