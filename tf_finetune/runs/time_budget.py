"""Time budget of a comparison, and the steps that it leaves out."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from absl import logging


@dataclasses.dataclass(frozen=True, kw_only=True)
class SkippedStep:
    """Step of a comparison that did not fit into the time budget.

    Attributes:
        what: Description of the step, e.g. "resnet50 on 40 pictures".
        needs_seconds: Seconds that it was estimated to take.
    """

    what: str
    needs_seconds: float

    def to_json(self) -> dict[str, Any]:
        """Returns both attributes by name, the seconds rounded to 0.1."""
        return {
            "what": self.what,
            "needs_seconds": round(self.needs_seconds, 1),
        }


class TimeBudget:
    """Time limit of a command, which runs from the object's construction.

    Args:
        seconds: Time for all steps together; None: no limit.
        clock: Returns the seconds of a clock that is never set back.
        flag: The flag that sets the time, for the log.

    Attributes:
        skipped: Steps that `allows` has refused, in order.
    """

    def __init__(
        self,
        seconds: float | None,
        clock: Callable[[], float] = time.monotonic,
        *,
        flag: str = "--time_budget",
    ) -> None:
        """Starts the clock."""
        self.skipped: list[SkippedStep] = []
        self._seconds = seconds
        self._clock = clock
        self._flag = flag
        self._start = clock()

    @property
    def is_limited(self) -> bool:
        """Whether there is a time limit."""
        return self._seconds is not None

    def allows(self, what: str, needs_seconds: float) -> bool:
        """Returns whether a step fits into the time that is left.

        One that does not is logged and added to `skipped`.

        Args:
            what: Description of the step.
            needs_seconds: Seconds that it is estimated to take; a step of 0
                seconds always fits.
        """
        # What is cached needs no time.
        if self._seconds is None or not needs_seconds:
            return True
        # Steps that fit are not interrupted: an estimate may be exceeded.
        left = self._seconds - (self._clock() - self._start)
        if needs_seconds <= left:
            return True
        logging.info(
            "Not tried within %s: %s, which needs about %.0f s of the %.0f s "
            "left.",
            self._flag,
            what,
            needs_seconds,
            max(left, 0),
        )
        self.skipped.append(SkippedStep(what=what, needs_seconds=needs_seconds))
        return False
