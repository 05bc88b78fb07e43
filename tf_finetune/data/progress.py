"""Shows how far long work has come."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import tqdm
from absl import logging

Item = TypeVar("Item")


def bar(
    items: Iterable[Item], *, total: int | None, title: str
) -> Iterator[Item]:
    """Yields `items` while a progress bar on stderr counts them.

    Where stderr is no terminal, one log line says at the end how many there
    were and how long they took.

    Args:
        items: What is worked on.
        total: How many items there will be; None: unknown.
        title: What happens to them, e.g. "Looking at pictures".
    """
    if sys.stderr.isatty():
        yield from tqdm.tqdm(items, total=total, desc=title, file=sys.stderr)
        return
    start = time.monotonic()
    count = 0
    for item in items:
        yield item
        count += 1
    seconds = time.monotonic() - start
    logging.info("%s: %d in %.1f s.", title, count, seconds)
