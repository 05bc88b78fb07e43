"""Shows how far long work has come."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, TypeVar

import tqdm
from absl import logging

Item = TypeVar("Item")


# Seconds between two lines in a log.
EVERY = 30.0


class Meter:
    """Says how far work has come that is counted elsewhere.

    On a terminal and in a notebook it is a bar. Elsewhere it is a line in the
    log every 30 seconds, with what is done, of how much, and how long the rest
    takes at the speed so far.
    """

    def __init__(
        self,
        *,
        total: int | None,
        title: str,
        unit: str = "",
        is_brief: bool = False,
    ) -> None:
        """Begins at 0.

        Args:
            total: How many there will be; None: unknown.
            title: What happens to them, e.g. "Looking at pictures".
            unit: What is counted, if the title does not say so: "batches".
            is_brief: Whether nothing is said of work that is done in less
                than 30 seconds, and no bar is left on the screen.
        """
        self._total, self._title, self._is_brief = total, title, is_brief
        self._unit = f" {unit}" if unit else ""
        self._count, self._start = 0, time.monotonic()
        self._said = self._start
        self._bar = None
        if watched := screen():
            self._bar = tqdm.tqdm(
                total=total,
                desc=title,
                unit=unit or "it",
                file=watched,
                leave=not is_brief,
                delay=1.0 if is_brief else 0.0,
            )

    def advance(self) -> None:
        """Counts one more."""
        self._count += 1
        if self._bar is not None:
            self._bar.update()
            return
        now = time.monotonic()
        if now - self._said < EVERY or self._count == self._total:
            return
        self._said = now
        logging.info("%s: %s", self._title, self._so_far(now - self._start))

    def close(self, *, is_done: bool = True) -> None:
        """Ends the bar, or says how many there were and how long they took.

        Args:
            is_done: Whether the work came to its end.
        """
        if self._bar is not None:
            self._bar.close()
            return
        seconds = time.monotonic() - self._start
        if is_done and not (self._is_brief and seconds < EVERY):
            logging.info(
                "%s: %d%s in %.1f s.",
                self._title,
                self._count,
                self._unit,
                seconds,
            )

    def _so_far(self, seconds: float) -> str:
        if not self._total:
            return f"{self._count}{self._unit} in {_clock(seconds)} so far"
        left = seconds / self._count * (self._total - self._count)
        share = self._count / self._total
        return (
            f"{self._count} of {self._total}{self._unit} ({share:.0%}), about "
            f"{_clock(left)} left"
        )


def bar(
    items: Iterable[Item],
    *,
    total: int | None,
    title: str,
    unit: str = "",
    is_brief: bool = False,
) -> Iterator[Item]:
    """Yields `items` while a `Meter` counts them.

    Args:
        items: What is worked on.
        total: As for `Meter`.
        title: As for `Meter`.
        unit: As for `Meter`.
        is_brief: As for `Meter`.
    """
    meter = Meter(total=total, title=title, unit=unit, is_brief=is_brief)
    is_done = False
    try:
        for item in items:
            yield item
            meter.advance()
        is_done = True
    finally:
        meter.close(is_done=is_done)


def tell(sentence: str, *values: Any) -> None:
    """Logs what has been done; prints it in a notebook that shows no log.

    Args:
        sentence: With places for the values, as for a log.
        values: What is put there.
    """
    logging.info(sentence, *values)
    if _in_notebook() and not logging.level_info():
        print(sentence % values)


def _clock(seconds: float) -> str:
    """Returns "40 s", "12 min" or "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def screen() -> TextIO | None:
    """Returns the stream on which a line can be drawn anew; None: no such."""
    if sys.stderr.isatty():
        return sys.stderr
    # Jupyter and Colab draw a line anew, though they call themselves no
    # terminal; what comes by stderr they colour as an error.
    return sys.stdout if _in_notebook() else None


def _in_notebook() -> bool:
    # Whoever runs a notebook's cell has loaded IPython, and its shell knows
    # the kernel; in a terminal's IPython it has none.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None
