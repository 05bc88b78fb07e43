"""The problem of fitting a head, its solution, and the solvers by name.

A solver is a function of a `Problem` that returns its `Solution`, or None where
the problem is too large for it. Solvers standardize the features; the solution
is folded back, so that a head is a plain dense layer on the raw features.
"""

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import threadpoolctl

from tf_finetune import registry

if TYPE_CHECKING:
    import keras

    from tf_finetune.config import train_config
    from tf_finetune.data import split_targets as target_rows
    from tf_finetune.feature_cache import batches
    from tf_finetune.feature_cache import store as stores

# Strings, so that scikit-learn and SciPy's optimizers are loaded only when a
# head is solved.
SOLVERS = registry.Registry(
    "solver",
    {
        "logistic": "tf_finetune.solvers.linear_probe:solve_head",
        "logistic_per_label": "tf_finetune.solvers.probe_per_label:solve_head",
        "ridge": "tf_finetune.solvers.ridge_regression:solve_head",
    },
)
# Size of a matrix, in numbers, up to which one thread is as fast as several.
_ONE_THREAD_SIZE = 5e6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """Head to fit, with its features and targets.

    Attributes:
        model: The head alone, as a Keras model: features → logits.
        solver: Name of the solver of a linear head: "logistic",
            "logistic_per_label" or "ridge"; "steps": trained by gradient steps.
        features: Features of the n pictures of the training split.
        layout: How the head's input tensors lie in a row of `features`.
        targets: Targets of the n pictures.
        loss: Loss of targets and logits, minimized by training.
        judged_by: Loss without class weights, which compares regularization
            strengths.
        groups: A key for each picture; pictures of one key share a fold.
        config: `class_weight`, `batch_size` and `seed` are read.
        start_strength: Value of `--head_start_strength` where fine-tuning
            starts from the solution; None: it does not.
    """

    model: "keras.Model"
    solver: str
    features: "stores.Rows"
    layout: "batches.RowLayout"
    targets: "target_rows.Targets"
    loss: "keras.losses.Loss"
    judged_by: "keras.losses.Loss"
    groups: Sequence[str]
    config: "train_config.TrainConfig"
    start_strength: float | Literal["auto", "probe"] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Solution:
    """Fitted weights of a head, and a description for the log.

    Attributes:
        weights: Arrays in the order of the head model's `weights`, for raw
            features.
        how: Description of the solution in one sentence.
        out_of_fold: [n, outputs], cross-validated logits of the training
            examples, NaN where there is none; None without cross-validation.
        start: Weights in the same order, from which fine-tuning starts; None:
            the same weights.
    """

    weights: tuple[np.ndarray, ...]
    how: str
    out_of_fold: np.ndarray | None = None
    start: tuple[np.ndarray, ...] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """Held-out predictions and losses at every regularization strength.

    Attributes:
        strengths: The regularization strengths that were tried.
        losses: [strengths, outputs], the mean over all held-out examples, or
            [strengths, 1] of all outputs together; NaN where it is unknown.
        left_out: [strengths, n, outputs], logits of each example by the
            solution that was fitted without it; NaN where there is none.
    """

    strengths: tuple[float, ...]
    losses: np.ndarray
    left_out: np.ndarray

    def select_left_out(self, chosen: np.ndarray) -> np.ndarray:
        """Selects the left-out logits at the chosen strength of each output.

        Args:
            chosen: [outputs], index in `strengths` for each output.

        Returns:
            [n, outputs].
        """
        # Each output takes its own strength: place i of `chosen` for output i.
        outputs = np.arange(self.left_out.shape[-1])
        return self.left_out[chosen, :, outputs].T


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearHead:
    """Linear head fitted to its optimum.

    Attributes:
        kernel: [width, outputs] float64, for raw features.
        bias: [outputs] float64.
        strengths: [outputs], or [1] for all outputs: the regularization that
            was chosen, on standardized features.
        cross_validation: Results at every strength that was tried; None
            without folds.
        out_of_fold: [n, outputs], logits by solutions fitted without the
            example, at the chosen strengths; NaN where there is none; None
            without folds.
        note: A remark for the log; empty if there is none.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strengths: np.ndarray
    cross_validation: CrossValidation | None
    out_of_fold: np.ndarray | None
    note: str

    def to_solution(self, how: str) -> Solution:
        """Converts the head's weights to float32 and adds a description.

        Args:
            how: Description of the solution; the note follows in parentheses.
        """
        return Solution(
            weights=(
                self.kernel.astype("float32"),
                self.bias.astype("float32"),
            ),
            how=f"{how} ({self.note})" if self.note else how,
            out_of_fold=self.out_of_fold,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class StandardizedFeatures:
    """Features of mean 0 and deviation 1, rotated to fewer dimensions.

    Attributes:
        rows: [n, min(n, width)] float64, the rotated features.
        basis: [width, min(n, width)], the axes of `rows`.
        mean: [width], mean of the raw features.
        scale: [width], deviation of the raw features; 1 for constant ones, and
            for all where features are only centered.
    """

    rows: np.ndarray
    basis: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    def convert_to_raw(
        self, coefficients: np.ndarray, bias: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Converts a linear map on `rows` to one on raw features.

        Args:
            coefficients: [min(n, width), outputs], for `rows`.
            bias: [outputs].

        Returns:
            Kernel [width, outputs] and bias [outputs], float64.
        """
        # ((x - mean) / scale) · basis · c + b = x · kernel + bias.
        kernel = (self.basis @ coefficients) / self.scale[:, np.newaxis]
        return kernel, bias - self.mean @ kernel


def standardize(
    features: np.ndarray, *, scaled: bool = True
) -> StandardizedFeatures:
    """Standardizes raw features and rotates them to min(n, width) dimensions.

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
    """Creates a context in which BLAS has one thread if features are small.

    Threads of BLAS wait for each other in small products, ten times as long
    as one of them computes when the machine has other work.

    Args:
        features: [n, width]; above 5 million numbers threads are not limited.
    """
    limit = 1 if features.size <= _ONE_THREAD_SIZE else None
    return threadpoolctl.threadpool_limits(limit, "blas")


def _rotate(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # From n = width on, a rotation would not shorten the rows.
    if rows.shape[0] >= rows.shape[1]:
        return rows, np.eye(rows.shape[1])
    # rows = U S Vᵀ: U S are the rows in the n axes V that they span.
    left, sizes, right = np.linalg.svd(rows, full_matrices=False)
    return left * sizes, right.T
