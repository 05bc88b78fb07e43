"""Progress bars, and lines of the log."""

import contextlib
import logging as python_logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, TypeVar

import tqdm
from absl import logging

Item = TypeVar("Item")


# Seconds between two lines in a log: rare enough that an hour of work takes
# 120 lines.
LOG_INTERVAL_SECONDS = 30.0


class Meter:
    """Reports the progress of work that is counted by its caller.

    On a terminal and in a notebook it is a bar. Elsewhere it is a line in the
    log every 30 seconds, with the number of items done, their total, and how
    long the rest takes at the mean speed so far.

    Args:
        total: Number of items to come; None: unknown.
        title: The activity, e.g. "Looking at pictures".
        unit: The items in the plural, if the title does not name them:
            "batches".
        is_brief: Whether work of less than 30 seconds is not logged, and
            the bar disappears at its end.
    """

    def __init__(
        self,
        *,
        total: int | None,
        title: str,
        unit: str = "",
        is_brief: bool = False,
    ) -> None:
        """Starts the count at 0."""
        self._total, self._title, self._is_brief = total, title, is_brief
        self._unit = f" {unit}" if unit else ""
        # Monotonic: setting the clock does not make work take negative time.
        self._count, self._start = 0, time.monotonic()
        self._said = self._start
        self._bar = None
        if watched := find_screen():
            self._bar = tqdm.tqdm(
                total=total,
                desc=title,
                unit=unit or "it",
                file=watched,
                leave=not is_brief,
                delay=1.0 if is_brief else 0.0,
            )

    def advance(self) -> None:
        """Counts one more item."""
        self._count += 1
        if self._bar is not None:
            self._bar.update()
            return
        now = time.monotonic()
        # `close` logs the end.
        if (
            now - self._said < LOG_INTERVAL_SECONDS
            or self._count == self._total
        ):
            return
        self._said = now
        logging.info(
            "%s: %s", self._title, self._format_progress(now - self._start)
        )

    def close(self, *, is_done: bool = True) -> None:
        """Closes the bar, or logs the number of items and the time they took.

        Args:
            is_done: Whether the work was completed; if not, nothing is logged.
        """
        if self._bar is not None:
            self._bar.close()
            return
        seconds = time.monotonic() - self._start
        if is_done and not (self._is_brief and seconds < LOG_INTERVAL_SECONDS):
            # "batches", "steps", "folds", "strengths", "pictures".
            unit = self._unit if self._count != 1 else _singular(self._unit)
            logging.info(
                "%s: %d%s in %.1f s.", self._title, self._count, unit, seconds
            )

    def _format_progress(self, seconds: float) -> str:
        if not self._total:
            taken = _format_duration(seconds)
            return f"{self._count}{self._unit} in {taken} so far"
        # At the mean speed since the start.
        left = seconds / self._count * (self._total - self._count)
        share = self._count / self._total
        return (
            f"{self._count} of {self._total}{self._unit} ({share:.0%}), about "
            f"{_format_duration(left)} left"
        )


def track(
    items: Iterable[Item],
    *,
    total: int | None,
    title: str,
    unit: str = "",
    is_brief: bool = False,
) -> Iterator[Item]:
    """Yields `items` while a `Meter` counts them.

    Args:
        items: The items of the work.
        total: Number of items; None: unknown.
        title: The activity, e.g. "Looking at pictures".
        unit: The items in the plural, if the title does not name them.
        is_brief: Whether work of less than 30 seconds is not logged, and the
            bar disappears at its end.
    """
    meter = Meter(total=total, title=title, unit=unit, is_brief=is_brief)
    # A generator that is closed early must not claim the work was completed.
    is_done = False
    try:
        for item in items:
            yield item
            meter.advance()
        is_done = True
    finally:
        meter.close(is_done=is_done)


def report(sentence: str, *values: Any) -> None:
    """Logs a sentence; also prints it in a notebook that hides the log.

    Args:
        sentence: Text with %-placeholders for the values, as for a logger.
        *values: The values for these placeholders.
    """
    logging.info(sentence, *values)
    if _in_notebook() and not logging.level_info():
        print(sentence % values)


@contextlib.contextmanager
def skip_repeated_messages(logged: set[str]) -> Iterator[None]:
    """Drops log messages of a block that were logged before.

    Args:
        logged: The messages that were; those of the block are added.
    """

    def is_new(record: python_logging.LogRecord) -> bool:
        message = record.getMessage()
        is_first = message not in logged
        logged.add(message)
        return is_first

    logger = logging.get_absl_logger()
    logger.addFilter(is_new)
    try:
        yield
    finally:
        logger.removeFilter(is_new)


def _format_duration(seconds: float) -> str:
    """Formats a duration as "40 s", "12 min" or "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def find_screen() -> TextIO | None:
    """Finds the stream on which a progress bar can be redrawn.

    Returns:
        stderr if it is a terminal, stdout in a notebook, else None.
    """
    if sys.stderr.isatty():
        return sys.stderr
    # Jupyter and Colab can redraw a line although they report no terminal;
    # they color everything on stderr as an error.
    return sys.stdout if _in_notebook() else None


def _in_notebook() -> bool:
    # Whoever runs a notebook's cell has loaded IPython, and its shell knows
    # the kernel; in a terminal's IPython it has none.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def _singular(unit: str) -> str:
    """Returns the singular of a regular English plural."""
    return unit.removesuffix("es" if unit.endswith("ches") else "s")
