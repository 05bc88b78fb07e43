"""Target transforms: standardization, optionally of the logarithm, and inverse.

The logarithm is taken where it makes a target less skewed. The model ends with
the inverse transform, so that it answers in the user's units.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from absl import logging

from tf_finetune import errors
from tf_finetune.data.tables import float32_range

Kind = Literal["none", "log", "auto"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transform:
    """Transform between the user's units and standardized targets.

    Attributes:
        logged: For each target, whether its logarithm is standardized.
        mean: Mean of each training target, of logged ones after the logarithm.
        deviation: Standard deviation, likewise; above 0.
        low: Lower bound of predictions in the user's units; -inf: none.
        high: Upper bound of predictions in the user's units; inf: none.
    """

    logged: tuple[bool, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    low: float = -np.inf
    high: float = np.inf

    def forward(self, targets: np.ndarray) -> np.ndarray:
        """Standardizes targets by mean and deviation of the training split.

        Args:
            targets: [n, targets] in the user's units; logged ones above 0.

        Returns:
            float32 [n, targets], a new array.
        """
        # float64 up to the end: large targets that differ little keep their
        # digits when the mean is subtracted.
        targets = np.asarray(targets, "float64")
        logged = np.asarray(self.logged)
        values = np.log(targets, out=targets.copy(), where=logged)
        return ((values - self.mean) / self.deviation).astype("float32")

    def restore_units(self, values: np.ndarray) -> np.ndarray:
        """Converts standardized predictions to the user's units.

        Args:
            values: [n, targets].

        Returns:
            float32 [n, targets], clipped to `low` and `high`, a new array.
        """
        values = np.asarray(values, "float64") * self.deviation + self.mean
        # Overflow of a diverged model is reported where it is evaluated.
        with np.errstate(over="ignore"):
            np.exp(values, out=values, where=np.asarray(self.logged))
            bounded = np.clip(values, self.low, self.high)
            return bounded.astype("float32")


def fit_transform(
    kind: Kind,
    targets: np.ndarray,
    names: Sequence[str],
    *,
    least: Sequence[float] | None = None,
    bounds: Sequence[float] = (),
) -> Transform:
    """Fits the standardization of each target, or of its logarithm.

    Args:
        kind: "none" takes the targets as they are, "log" their logarithms,
            "auto" the logarithm of a target that is above 0 everywhere and
            whose distribution becomes less skewed by it.
        targets: [n, targets] of the training split, none of them constant.
        names: Names of the targets.
        least: [targets], the least value of each in all splits, since the loss
            is computed on all of them; None: that in `targets`.
        bounds: (low, high) of the predictions; empty: no bounds.

    Raises:
        DataError: `kind` is "log", and a target is not above 0.
    """
    targets = np.asarray(targets, "float64")
    least = targets.min(axis=0) if least is None else least
    logged = tuple(
        _is_logged(kind, targets[:, index], least[index], name)
        for index, name in enumerate(names)
    )
    # Mean and deviation are those of the values that are standardized.
    values = np.log(targets, out=targets.copy(), where=np.asarray(logged))
    low, high = bounds or (-np.inf, np.inf)
    return Transform(
        logged=logged,
        mean=tuple(map(float, values.mean(axis=0))),
        deviation=tuple(map(float, values.std(axis=0))),
        low=low,
        high=high,
    )


def _is_logged(kind: Kind, values: np.ndarray, least: float, name: str) -> bool:
    if kind == "none":
        return False
    if kind == "log" and least < float32_range.LEAST_LOGGED:
        raise errors.DataError(
            "--target_transform=log needs targets above 0 (of at least "
            f"{float32_range.LEAST_LOGGED:g}), and {name!r} is as low as "
            f"{least:g}; use none or auto."
        )
    if kind == "log":
        return True
    if least < float32_range.LEAST_LOGGED:
        logging.info(
            "%s: not log-transformed, since its lowest value is %g "
            "(--target_transform)",
            name,
            least,
        )
        return False
    if np.ptp(values) < float32_range.LEAST_LOGGED_SHARE * values.max():
        logging.info(
            "%s: not log-transformed, since its values lie close together "
            "(--target_transform)",
            name,
        )
        return False
    from scipy import stats  # Slow to load.

    # Skewness 0 is symmetric: the less skewed of both is predicted.
    before, after = (float(stats.skew(x)) for x in (values, np.log(values)))
    logged = abs(after) < abs(before)
    logging.info(
        "%s: %s, since its skewness is %.2f and that of its logarithm is %.2f "
        "(--target_transform)",
        name,
        "log-transformed" if logged else "not log-transformed",
        before,
        after,
    )
    return logged
