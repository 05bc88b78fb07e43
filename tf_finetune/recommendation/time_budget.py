"""Time budget of a recommendation, and the steps that it leaves out."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from absl import logging


@dataclasses.dataclass(frozen=True, kw_only=True)
class SkippedStep:
    """A step that did not fit into the budget.

    Attributes:
        what: The step.
        needs_seconds: Estimated.
    """

    what: str
    needs_seconds: float

    def to_json(self) -> dict[str, Any]:
        """Returns the step as recommend.json lists it."""
        return {
            "what": self.what,
            "needs_seconds": round(self.needs_seconds, 1),
        }


class TimeBudget:
    """Tells whether a step fits into the time that is left.

    Attributes:
        skipped: Steps that did not.
    """

    def __init__(
        self,
        seconds: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts the clock.

        Args:
            seconds: For everything; None: no limit.
            clock: Seconds of a clock that is never set back.
        """
        self.skipped: list[SkippedStep] = []
        self._seconds = seconds
        self._clock = clock
        self._start = clock()

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return self._seconds is not None

    def allows(self, what: str, needs_seconds: float) -> bool:
        """Returns whether a step fits; notes and logs one that does not.

        Args:
            what: The step.
            needs_seconds: Estimated; a step of 0 seconds always fits.
        """
        if self._seconds is None or not needs_seconds:
            return True
        left = self._seconds - (self._clock() - self._start)
        if needs_seconds <= left:
            return True
        logging.info(
            "Not tried within --time_budget: %s, which needs about %.0f s of "
            "the %.0f s left.",
            what,
            needs_seconds,
            max(left, 0),
        )
        self.skipped.append(SkippedStep(what=what, needs_seconds=needs_seconds))
        return False
