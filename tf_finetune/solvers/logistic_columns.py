"""Independent logistic regressions on the same rows, solved together."""

import dataclasses

import numpy as np
from scipy import optimize, special

_ITERATIONS = 1000
# Largest gradient component, summed over examples, that counts as converged.
_GRADIENT_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimum:
    """Coefficients and biases of several regressions, one per column.

    Attributes:
        coefficients: [width, columns].
        bias: [columns].
    """

    coefficients: np.ndarray
    bias: np.ndarray


class LogisticColumns:
    """L2-penalized logistic regressions on the same rows, one per column.

    Args:
        rows: [n, width], whose columns are orthogonal.
        targets: [n, columns] booleans.
        weights: [n, columns], weights of the examples, at least 0.

    Attributes:
        is_mixed: [columns], whether there are positive and negative examples of
            weight above 0; otherwise there is no optimum.
    """

    def __init__(
        self, rows: np.ndarray, targets: np.ndarray, weights: np.ndarray
    ) -> None:
        """Computes the null model (biases alone) and its curvature."""
        present = np.sum(weights * targets, axis=0)
        total = np.sum(weights, axis=0)
        self.is_mixed = (present > 0) & (present < total)
        self._rows = rows
        self._signs = np.where(targets, 1.0, -1.0)
        # With weight 0, a column without an optimum stays where it begins.
        self._weights = np.where(self.is_mixed, weights, 0.0)
        # Null model: without coefficients every picture has the same
        # probability, smoothed here as (count + 1/2) / (n + 1).
        share = (present + 0.5) / (total + 1.0)
        # The bias whose sigmoid is the share: ln(p / (1 - p)).
        self._null = np.log(share / (1 - share))
        # Second derivative of the log loss by the bias: n · p · (1 - p).
        self._curvature = np.maximum(share * (1 - share) * total, 1e-3)
        # Times the bias' curvature it is that of a coefficient, as the axes are
        # orthogonal.
        self._sizes = np.mean(rows**2, axis=0)

    def losses(self, at: Optimum) -> np.ndarray:
        """Computes the unweighted log loss of each example, [n, columns].

        `at` holds the coefficients and biases.
        """
        logits = self._rows @ at.coefficients + at.bias
        # log(1 + exp(-margin)), without overflow.
        return np.logaddexp(0.0, -self._signs * logits)

    def find_optimum(
        self, strengths: np.ndarray, start: Optimum | None = None
    ) -> Optimum:
        """Fits all columns, each with its own strength, by L-BFGS.

        L-BFGS (Liu and Nocedal 1989) works in coordinates in which the
        curvature is about that of a sphere: the axes of the rows are
        orthogonal, so that the curvature at the null model is diagonal and
        divided out.

        Args:
            strengths: [columns], inverse penalties C, above 0.
            start: Where to begin; None: at the null model.

        Returns:
            A new optimum; columns that are not mixed stay where they began.
        """
        # Minimized: sum of weighted log losses + |coefficients|² / (2 C).
        penalty = 1.0 / strengths
        curved = self._sizes[:, np.newaxis] * self._curvature + penalty
        # In units of 1 / √curvature the Hessian at the null model is about the
        # identity.
        steps = np.vstack([1 / np.sqrt(curved), 1 / np.sqrt(self._curvature)])
        first = np.zeros(steps.shape)
        first[-1] = self._null
        if start is not None:
            first = np.vstack([start.coefficients, start.bias])

        def slope(flat: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = self._compute_objective(
                flat.reshape(steps.shape) * steps, penalty
            )
            # Chain rule: the variables are coefficients / steps.
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
                    # 0 leaves convergence to the gradient alone.
                    "gtol": _GRADIENT_TOLERANCE,
                    "ftol": 0.0,
                },
            ).x.reshape(steps.shape)
            * steps
        )
        return Optimum(coefficients=found[:-1], bias=found[-1])

    def _compute_objective(
        self, found: np.ndarray, penalty: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Returns the penalized loss and its gradient [width + 1, columns]."""
        coefficients, bias = found[:-1], found[-1]
        margins = self._signs * (self._rows @ coefficients + bias)
        wrong = special.expit(-margins)
        # d log(1 + exp(-s z)) / dz = -s · sigmoid(-s z); the bias has no
        # penalty.
        pull = -self._weights * self._signs * wrong
        slopes = np.vstack([self._rows.T @ pull, pull.sum(axis=0)])
        slopes[:-1] += penalty * coefficients
        loss = np.sum(self._weights * np.logaddexp(0.0, -margins))
        return loss + 0.5 * np.sum(penalty * coefficients**2), slopes
