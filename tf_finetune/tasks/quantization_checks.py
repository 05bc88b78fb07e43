"""Checks of quantized exports, and the messages about those that fail.

Quantization moves outputs by hundredths of their range, and by more where a
network is unsure. Differences are therefore bounded in the mean, together with
the decisions a user makes by the outputs; each task says which those are.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

# A picture, or a pixel, is decided if the likeliest class is ahead by this
# much; others may fall on either side.
MARGIN = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """One figure with its limit.

    Attributes:
        name: Of the limit, in `parity.json`.
        found: The figure; None where it is not known, and nothing is checked.
        limit: The largest allowed value, or the smallest.
        sentence: Describes the figure in the message of a failed check.
        at_least: Whether `limit` is the smallest allowed value.
    """

    name: str
    found: float | None
    limit: float
    sentence: str
    at_least: bool = False

    @property
    def fault(self) -> str:
        """The message of a failed check; empty if it passed."""
        if self.found is None:
            return ""
        beyond = self.found - self.limit
        # Fails beyond the limit by more than rounding, or for NaN.
        if (-beyond if self.at_least else beyond) <= 1e-9:
            return ""
        asked = "required" if self.at_least else "allowed"
        return f"{self.sentence} ({asked} {self.limit:.3g})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckResult:
    """Result of a task's checks of a quantized export.

    Attributes:
        figures: Ready for `parity.json`; None: not defined.
        checks: All checks that were made.
    """

    figures: Mapping[str, Any]
    checks: tuple[Check, ...]

    @property
    def tolerance(self) -> dict[str, float]:
        """The limit of each check, by name."""
        return {each.name: each.limit for each in self.checks}

    @property
    def failures(self) -> tuple[str, ...]:
        """The messages of the failed checks; empty if all passed."""
        return tuple(each.fault for each in self.checks if each.fault)

    def loss(self, figure: str) -> float | None:
        """Returns the drop of a figure; None where it is not known.

        Args:
            figure: "accuracy"; of several targets the one that drops most.
        """
        known = [
            each.found
            for each in self.checks
            if each.name == _drop_name(figure) and each.found is not None
        ]
        return max(known, default=None)

    def with_limits(self, losses: Mapping[str, float]) -> "CheckResult":
        """Returns the result with the user's limits in place of the task's.

        Args:
            losses: By figure, the largest allowed drop.
        """
        limits = {_drop_name(name): limit for name, limit in losses.items()}
        kept = [
            dataclasses.replace(each, limit=limits[each.name])
            for each in self.checks
            if each.name in limits
        ]
        return CheckResult(figures=self.figures, checks=tuple(kept))


def _drop_name(figure: str) -> str:
    return f"{figure}_loss"


def check_drop(
    name: str, before: float | None, now: float | None, limit: float
) -> Check:
    """Returns the check of a figure that may drop by `limit` at most.

    Args:
        name: Of the figure, as `parity.json` has it.
        before: Of the evaluation's predictions; None: not known.
        now: Of the export's predictions.
        limit: Of the difference.
    """
    known = before is not None and now is not None
    return Check(
        name=_drop_name(name),
        found=before - now if known else None,
        limit=limit,
        sentence=f"{name.replace('_', ' ')} {now:.1%} instead of {before:.1%}"
        if known
        else "",
    )


def check_mean_difference(
    expected: np.ndarray, got: np.ndarray, limit: float
) -> Check:
    """Returns the check of the mean absolute difference of probabilities."""
    mean = float(np.abs(expected - got).mean())
    return Check(
        name="mean_abs_difference",
        found=mean,
        limit=limit,
        sentence=f"probabilities differ by {mean:.2g} in the mean",
    )


def measure_agreement(
    expected: np.ndarray, got: np.ndarray
) -> dict[str, float | None]:
    """Compares the likeliest classes of two sets of predictions.

    Args:
        expected: [..., classes] probabilities.
        got: The same of the export.

    Returns:
        `top_1_agreement`, the share with the same likeliest class;
        `decided_agreement`, that of those that are decided, None if none is;
        and `check_agreement`, how many those are.
    """
    # "Decided": the likeliest class leads the second one by more than MARGIN.
    ranked = np.sort(expected, axis=-1)
    decided = ranked[..., -1] - ranked[..., -2] > MARGIN
    same = np.argmax(expected, axis=-1) == np.argmax(got, axis=-1)
    return {
        "top_1_agreement": float(same.mean()),
        "decided_agreement": compute_share(same, decided),
        "decided": int(decided.sum()),
    }


def check_agreement(
    figures: Mapping[str, float | None], limit: float, of: str
) -> Check:
    """Returns the check of `decided_agreement`.

    Args:
        figures: With `decided_agreement` and `check_agreement`.
        limit: The smallest allowed share; one of few may always change.
        of: The things that are counted: "pictures".
    """
    found = figures["decided_agreement"]
    return Check(
        name="decided_agreement",
        found=found,
        limit=allow_one_change(limit, figures["decided"]),
        at_least=True,
        sentence=f"{format_share(found)} of the clearly decided {of} keep "
        "their class",
    )


def allow_one_change(limit: float, count: int) -> float:
    """Returns a share that has to hold, lowered so that one of few need not."""
    return min(limit, 1 - 1 / max(count, 1))


def compute_share(holds: np.ndarray, among: np.ndarray) -> float | None:
    """Returns the share of true values among some; None if there are none."""
    return float(holds[among].mean()) if among.any() else None


def format_share(found: float | None) -> str:
    """Formats a share as a percentage."""
    return "none" if found is None else f"{found:.1%}"
