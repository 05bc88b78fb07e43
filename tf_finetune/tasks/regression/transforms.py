"""What the model learns instead of the targets, and the way back.

A target is standardised, after its logarithm where that suits it better; the
model ends with the way back, so that it answers in the user's units.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from absl import logging
from scipy import stats

from tf_finetune import errors
from tf_finetune.tasks.regression import ranges

Kind = Literal["none", "log", "auto"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transform:
    """Units of the user ↔ what the loss is computed on, target by target.

    Attributes:
        logged: Whether the logarithm of the target is standardised.
        mean: Of the training targets, logged ones after their logarithm.
        deviation: The same; above 0.
        low: What no prediction lies below; -inf: anything may be.
        high: What no prediction lies above; inf: anything may be.
    """

    logged: tuple[bool, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    low: float = -np.inf
    high: float = np.inf

    def forward(self, targets: np.ndarray) -> np.ndarray:
        """Returns [n, targets] float32 of mean 0 and deviation 1 in training.

        Args:
            targets: [n, targets] in the user's units; logged ones above 0.
        """
        targets = np.asarray(targets, "float64")
        logged = np.asarray(self.logged)
        values = np.log(targets, out=targets.copy(), where=logged)
        return ((values - self.mean) / self.deviation).astype("float32")

    def back(self, values: np.ndarray) -> np.ndarray:
        """Returns [n, targets] float32 in the user's units."""
        values = np.asarray(values, "float64") * self.deviation + self.mean
        with np.errstate(over="ignore"):  # What diverged is told elsewhere.
            np.exp(values, out=values, where=np.asarray(self.logged))
            bounded = np.clip(values, self.low, self.high)
            return bounded.astype("float32")


def fitted(
    kind: Kind,
    targets: np.ndarray,
    names: Sequence[str],
    *,
    least: Sequence[float] | None = None,
    bounds: Sequence[float] = (),
) -> Transform:
    """Chooses the transform of each target on the training split.

    Args:
        kind: "auto" takes the logarithm of a target that is above 0
            everywhere and whose distribution becomes less skewed by it.
        targets: [n, targets] of the training split, none of them constant.
        names: Of the targets.
        least: [targets] the least value of each in all splits, since those
            that are not learnt from are judged by the same loss; None: in
            `targets`.
        bounds: (low, high) of the predictions, or nothing.

    Raises:
        DataError: "log" is asked for, and a target is not above 0.
    """
    targets = np.asarray(targets, "float64")
    least = targets.min(axis=0) if least is None else least
    logged = tuple(
        _is_logged(kind, targets[:, index], least[index], name)
        for index, name in enumerate(names)
    )
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
    if kind == "log" and least < ranges.LEAST_LOGGED:
        raise errors.DataError(
            f"--target_transform=log needs targets above 0 (of at least "
            f"{ranges.LEAST_LOGGED:g}), and {name!r} is as low as {least:g}; "
            "use none or auto."
        )
    if kind == "log":
        return True
    if least < ranges.LEAST_LOGGED:
        logging.info(
            "%s: no logarithm, since it is as low as %g (--target_transform)",
            name,
            least,
        )
        return False
    if np.ptp(values) < ranges.LEAST_LOGGED_SHARE * values.max():
        logging.info(
            "%s: no logarithm, since its values lie close together "
            "(--target_transform)",
            name,
        )
        return False
    before, after = (float(stats.skew(x)) for x in (values, np.log(values)))
    logged = abs(after) < abs(before)
    logging.info(
        "%s: %s, since its skewness is %.2f and that of its logarithm %.2f "
        "(--target_transform)",
        name,
        "the logarithm is learnt" if logged else "no logarithm",
        before,
        after,
    )
    return logged
