"""Standardization and rotation of features for solvers.

The solution is folded back, so that a head is a plain dense layer on the raw
features.
"""

import contextlib
import dataclasses

import numpy as np
import threadpoolctl

# Size of a matrix, in numbers, up to which one thread is as fast as several.
_ONE_THREAD_SIZE = 5e6


@dataclasses.dataclass(frozen=True, kw_only=True)
class StandardizedFeatures:
    """Features of mean 0 and deviation 1, rotated.

    Attributes:
        rows: [n, min(n, width)] float64.
        basis: [width, min(n, width)], the axes of `rows`.
        mean: [width] of the raw features.
        scale: [width] of the raw features; 1 for those that never change.
    """

    rows: np.ndarray
    basis: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    def convert_to_raw(
        self, coefficients: np.ndarray, bias: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Converts a solution on `rows` to raw features, float64.

        Args:
            coefficients: [min(n, width), outputs], for `rows`.
            bias: [outputs].
        """
        # ((x - mean) / scale) · basis · c + b = x · kernel + bias.
        kernel = (self.basis @ coefficients) / self.scale[:, np.newaxis]
        return kernel, bias - self.mean @ kernel


def standardize(
    features: np.ndarray, *, scaled: bool = True
) -> StandardizedFeatures:
    """Standardizes and rotates raw features [n, width].

    Rotating n examples of width d > n into n dimensions leaves an L2-penalized
    solution unchanged.

    Args:
        features: [n, width].
        scaled: Whether deviations become 1; else features are centered alone.

    Source: Hastie et al. 2009, "The Elements of Statistical Learning",
    section 18.3.5.
    """
    mean = features.mean(axis=0, dtype="float64")
    scale = np.ones(len(mean))
    if scaled:
        scale = features.std(axis=0, dtype="float64")
        # Constant features have deviation 0, or rounding errors of it.
        scale = np.where(scale > 1e-6 * max(scale.max(), 1e-12), scale, 1.0)
    rows, basis = _rotate((features.astype("float64") - mean) / scale)
    return StandardizedFeatures(rows=rows, basis=basis, mean=mean, scale=scale)


def limit_threads(features: np.ndarray) -> contextlib.AbstractContextManager:
    """Limits BLAS to one thread within a block if the features are small.

    Threads of BLAS wait for each other in small products, ten times as long
    as one of them computes when the machine has other work.
    """
    limit = 1 if features.size <= _ONE_THREAD_SIZE else None
    return threadpoolctl.threadpool_limits(limit, "blas")


def _rotate(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if rows.shape[0] >= rows.shape[1]:
        return rows, np.eye(rows.shape[1])
    # rows = U S Vᵀ: U S are the rows in the n axes V that they span.
    left, sizes, right = np.linalg.svd(rows, full_matrices=False)
    return left * sizes, right.T
