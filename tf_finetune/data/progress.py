"""Shows how far long work has come."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

import tqdm
from absl import logging

Item = TypeVar("Item")


def bar(
    items: Iterable[Item], *, total: int | None, title: str
) -> Iterator[Item]:
    """Yields `items` while a progress bar counts them.

    The bar is on stderr where that is a terminal, and below the cell in a
    notebook. Elsewhere one log line says at the end how many there were and
    how long they took.

    Args:
        items: What is worked on.
        total: How many items there will be; None: unknown.
        title: What happens to them, e.g. "Looking at pictures".
    """
    watched = screen()
    if watched:
        yield from tqdm.tqdm(items, total=total, desc=title, file=watched)
        return
    start = time.monotonic()
    count = 0
    for item in items:
        yield item
        count += 1
    seconds = time.monotonic() - start
    logging.info("%s: %d in %.1f s.", title, count, seconds)


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
