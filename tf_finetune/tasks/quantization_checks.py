"""Checks of quantized exports, and the messages about those that fail.

Quantization moves outputs by hundredths of their range, and by more where a
network is unsure. Differences are therefore bounded in the mean, together with
the decisions a user makes by the outputs; each task says which those are.
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
    """Check of one figure against a limit.

    Attributes:
        name: Name of the limit, in `parity.json`.
        found: The figure; None where it is unknown, and nothing is checked.
        limit: The largest allowed value; the smallest with `at_least`.
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
        """Message of a failed check; empty if it passed or `found` is None."""
        if self.found is None:
            return ""
        beyond = self.found - self.limit
        # Fails beyond the limit by more than rounding, or for NaN.
        if (-beyond if self.at_least else beyond) <= 1e-9:
            return ""
        asked = "required" if self.at_least else "allowed"
        return f"{self.sentence} ({asked} {self.limit:.3g})"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Predictions of a quantized export beside those of the evaluation.

    Attributes:
        expected: [pictures, …, outputs], float64, of the evaluation.
        got: Predictions of the export, same shape, finite.
        truth: True labels as `Exports.load_truth` returns them; None: unknown.
        names: Names of the outputs.
        unit: Divisor of differences; one for all outputs or [outputs].
    """

    expected: np.ndarray
    got: np.ndarray
    truth: np.ndarray | None
    names: Sequence[str]
    unit: float | np.ndarray = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckResult:
    """Result of a task's checks of a quantized export.

    Attributes:
        figures: Figures by name, ready for `parity.json`; None: undefined.
        checks: All checks that were made.
    """

    figures: Mapping[str, Any]
    checks: tuple[Check, ...]

    @property
    def tolerance(self) -> dict[str, float]:
        """Limits by name of the check: lowest or highest allowed figures."""
        return {each.name: each.limit for each in self.checks}

    @property
    def failures(self) -> tuple[str, ...]:
        """Messages of the failed checks; empty if all passed."""
        return tuple(each.fault for each in self.checks if each.fault)

    def loss(self, figure: str) -> float | None:
        """Returns how far a figure drops from evaluation to export.

        Args:
            figure: Name such as "accuracy", without "_loss".

        Returns:
            The drop, negative for a gain; of several targets the largest;
            None where it is unknown.
        """
        known = [
            each.found
            for each in self.checks
            if each.name == _drop_name(figure) and each.found is not None
        ]
        return max(known, default=None)

    def with_limits(self, losses: Mapping[str, float]) -> "CheckResult":
        """Returns a new result with the user's limits alone.

        Args:
            losses: Figure → largest allowed drop. Checks of other figures
                are left out.
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
    """Builds the check of a figure that may drop by `limit` at most.

    Args:
        name: Name of the figure, such as "accuracy".
        before: Its value for the evaluation; None: unknown.
        now: Its value for the export; None: unknown.
        limit: Largest allowed difference `before - now`.

    Returns:
        A check called NAME_loss.
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
    """Builds the check of the mean absolute difference of probabilities.

    Args:
        expected: Probabilities of the evaluation.
        got: Probabilities of the export, same shape.
        limit: Largest allowed mean.
    """
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
        expected: [..., classes] probabilities of the evaluation.
        got: Probabilities of the export, same shape.

    Returns:
        `top_1_agreement`, the share with the same likeliest class; `decided`,
        the number of predictions whose likeliest class leads by more than
        `MARGIN`; `decided_agreement`, the share with the same likeliest class
        among those, None if there are none.
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
    """Builds the check of the share of decided predictions that stay.

    Args:
        figures: With `decided_agreement` and `decided`, see
            `measure_agreement`.
        limit: The smallest allowed share; `allow_one_change` lowers it where
            few predictions are decided.
        of: Noun for the things that are counted: "pictures".
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
    """Lowers a required share so that one of `count` may always change.

    Returns:
        `limit` or 1 - 1 / `count`, whichever is smaller.
    """
    return min(limit, 1 - 1 / max(count, 1))


def compute_share(holds: np.ndarray, among: np.ndarray) -> float | None:
    """Computes the share of true values in `holds` where `among` is true.

    Args:
        holds: Booleans.
        among: Booleans of the same shape.

    Returns:
        Value in 0..1; None where `among` is all false.
    """
    return float(holds[among].mean()) if among.any() else None


def format_share(found: float | None) -> str:
    """Formats a share as a percentage, None as "none"."""
    return "none" if found is None else f"{found:.1%}"
