"""What is asked of exports in few bits, and what is said of those that fail.

Their numbers move by hundredths of what they can be, and more where a network
is unsure. So differences are bounded in the mean, and what counts is what a
user decides by them; each task says what that is.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# A picture, or a pixel, is decided if the likeliest class is ahead by this
# much; others may fall on either side.
MARGIN = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """One figure that is bounded.

    Attributes:
        name: Of the bound, in `parity.json`.
        found: The figure; None where it is not known, and nothing is asked.
        limit: What it may be at most, or has to be at least.
        sentence: Says what was found.
        at_least: Which of both.
    """

    name: str
    found: float | None
    limit: float
    sentence: str
    at_least: bool = False

    @property
    def fault(self) -> str:
        """What is wrong, in words; empty if nothing is."""
        if self.found is None:
            return ""
        beyond = self.found - self.limit
        # Beyond the bound by more than rounding, or no number.
        if (-beyond if self.at_least else beyond) <= 1e-9:
            return ""
        asked = "asked" if self.at_least else "allowed"
        return f"{self.sentence} ({asked} {self.limit:.3g})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a task says of an export.

    Attributes:
        figures: Ready for `parity.json`; None: not defined.
        checks: What was looked at.
    """

    figures: Mapping[str, Any]
    checks: tuple[Check, ...]

    @property
    def tolerance(self) -> dict[str, float]:
        """What was asked, by name."""
        return {each.name: each.limit for each in self.checks}

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong, in words; empty if nothing is."""
        return tuple(each.fault for each in self.checks if each.fault)

    def loss(self, figure: str) -> float | None:
        """Returns how much less a figure is; None where it is not known.

        Args:
            figure: "accuracy"; of several targets the one that loses most.
        """
        known = [
            each.found
            for each in self.checks
            if each.name == _loss(figure) and each.found is not None
        ]
        return max(known, default=None)

    def tolerating(self, losses: Mapping[str, float]) -> "Verdict":
        """Returns the verdict by what may be lost, and nothing else.

        Args:
            losses: By figure, what it may be less at most.
        """
        limits = {_loss(name): limit for name, limit in losses.items()}
        kept = [
            dataclasses.replace(each, limit=limits[each.name])
            for each in self.checks
            if each.name in limits
        ]
        return Verdict(figures=self.figures, checks=tuple(kept))


def _loss(figure: str) -> str:
    return f"{figure}_loss"


def verdict(figures: Mapping[str, Any], checks: Sequence[Check]) -> Verdict:
    """Returns the verdict of some checks."""
    return Verdict(figures=figures, checks=tuple(checks))


def lost(
    name: str, before: float | None, now: float | None, limit: float
) -> Check:
    """Returns the check of a figure that may be less by `limit` at most.

    Args:
        name: Of the figure, as `parity.json` has it.
        before: What the evaluation's predictions reach; None: not known.
        now: What those of the export do.
        limit: Of the difference.
    """
    known = before is not None and now is not None
    return Check(
        name=_loss(name),
        found=before - now if known else None,
        limit=limit,
        sentence=f"{name.replace('_', ' ')} {now:.1%} instead of {before:.1%}"
        if known
        else "",
    )


def agreement(expected: np.ndarray, got: np.ndarray) -> dict[str, float | None]:
    """Compares the likeliest classes.

    Args:
        expected: [..., classes] probabilities.
        got: The same of the export.

    Returns:
        `top_1_agreement`, the share with the same likeliest class;
        `decided_agreement`, that of those that are decided, None if none is;
        and `decided`, how many those are.
    """
    ranked = np.sort(expected, axis=-1)
    decided = ranked[..., -1] - ranked[..., -2] > MARGIN
    same = np.argmax(expected, axis=-1) == np.argmax(got, axis=-1)
    return {
        "top_1_agreement": float(same.mean()),
        "decided_agreement": share(same, decided),
        "decided": int(decided.sum()),
    }


def decided(
    figures: Mapping[str, float | None], limit: float, of: str
) -> Check:
    """Returns the check of `decided_agreement`.

    Args:
        figures: As `agreement` returns them.
        limit: What it has to be at least, but for one of few.
        of: Of what: "pictures".
    """
    found = figures["decided_agreement"]
    return Check(
        name="decided_agreement",
        found=found,
        limit=but_one(limit, figures["decided"]),
        at_least=True,
        sentence=f"the same class for {shown(found)} of the {of} that the "
        "evaluation was sure of",
    )


def but_one(limit: float, count: int) -> float:
    """Returns a share that has to hold, so that one of few need not."""
    return min(limit, 1 - 1 / max(count, 1))


def share(holds: np.ndarray, among: np.ndarray) -> float | None:
    """Returns the share of true values among some; None if there are none."""
    return float(holds[among].mean()) if among.any() else None


def shown(found: float | None) -> str:
    """Returns a share in per cent, for a sentence."""
    return "none" if found is None else f"{found:.1%}"
