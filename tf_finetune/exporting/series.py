"""Several formats one after the other: one that is refused stops no other."""

import contextlib
import dataclasses
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors, escaping
from tf_finetune.exporting.proof import parity, refusal

_SECONDS_BETWEEN_LINES = 30.0
_TOLD = (errors.RunError, errors.UsageError, OSError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one format.

    Attributes:
        name: The format's.
        path: What was written; None: nothing.
        largest: The largest difference of a prediction; None: not known.
        error: Why there is nothing.
    """

    name: str
    path: pathlib.Path | None = None
    largest: float | None = None
    error: Exception | None = None


def write(
    formats: Sequence[str],
    export: Callable[[str], pathlib.Path],
    *,
    folder: pathlib.Path,
    proven: Callable[[pathlib.Path], str],
    report: Callable[[str], None],
) -> list[pathlib.Path]:
    """Tries every format; several are told of in a table at the end.

    What is refused is kept in `parity.json`, until the format holds.

    Args:
        formats: Their names.
        export: Writes and proves the format of a name, or raises.
        folder: Where exports go.
        proven: What an export was proven on, in words.
        report: Called with what a person should read.

    Returns:
        What was written, in the order of the formats.

    Raises:
        RunError: At least one was refused; the others are there.
        UsageError: The only one cannot be written where it is to go.
    """
    outcomes = []
    for place, name in enumerate(formats, 1):
        logging.info(
            "%s: being written and proven (%d of %d)", name, place, len(formats)
        )
        outcomes.append(_tried(name, export, folder))
        path = outcomes[-1].path
        if path is not None:
            report(f"{name}: {path}, proven on {proven(path)} (parity.json)")
    if len(formats) > 1:
        report(table(outcomes))
    _require_all(outcomes, refusal.recorded(folder))
    return [each.path for each in outcomes]


def table(outcomes: Sequence[Outcome]) -> str:
    """Returns a line a format: whether it holds and how far it differs."""
    rows = [("format", "result", "differs by", "where")]
    for each in outcomes:
        differs = "" if each.largest is None else f"{each.largest:.2g}"
        result = "refused" if each.path is None else "holds"
        rows.append((each.name, result, differs, str(each.path or "")))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


@contextlib.contextmanager
def told(what: str, seconds: float = _SECONDS_BETWEEN_LINES) -> Iterator[None]:
    """Logs a line every half minute while a block lasts."""
    done = threading.Event()
    start = time.monotonic()

    def tell() -> None:
        while not done.wait(seconds):
            logging.info("%s, %.0f s so far", what, time.monotonic() - start)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _tried(
    name: str, export: Callable[[str], pathlib.Path], folder: pathlib.Path
) -> Outcome:
    try:
        with told(f"{name}: still being written and proven"):
            path = export(name)
    except _TOLD as error:
        fault = getattr(error, "fault", str(error))
        if isinstance(error, errors.RunError):
            # The disk may be full.
            with contextlib.suppress(OSError):
                refusal.record(folder, name, fault)
        largest = getattr(error, "largest", None)
        return Outcome(name=name, error=error, largest=largest)
    refusal.forget(folder, name)
    return Outcome(name=name, path=path, largest=_largest(path))


def _largest(path: pathlib.Path) -> float | None:
    found = [*_differences(parity.recorded(path))]
    return max(found, default=None)


def _differences(figures: Mapping[str, Any]) -> Iterator[float]:
    """Yields the largest difference of predictions of each way of asking."""
    for value in figures.values():
        # Features are compared beside their own size.
        if not isinstance(value, dict) or "largest" in value:
            continue
        if "max_abs_difference" in value:
            yield value["max_abs_difference"]


def _require_all(
    outcomes: Sequence[Outcome], refused: Mapping[str, str]
) -> None:
    """Raises what was wrong, with advice that names nothing refused."""
    failed = [each for each in outcomes if each.error is not None]
    if not failed:
        return
    known = {*refused, *(each.name for each in failed)}
    if len(outcomes) == 1:
        (error,) = (each.error for each in failed)
        if isinstance(error, refusal.Refused):
            raise error.without(known) from error
        raise error
    verb = "was" if len(failed) == 1 else "were"
    sentences = [
        f"{len(failed)} of {len(outcomes)} formats {verb} refused; the others "
        "are there."
        if len(failed) < len(outcomes)
        else f"None of the {len(outcomes)} formats holds."
    ]
    for each in failed:
        error = each.error
        if isinstance(error, refusal.Refused):
            error = error.without(known)
        sentences.append(f"{each.name}: {_sentence(error)}")
    raise errors.RunError(escaping.join(sentences)) from failed[0].error


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}."
    return str(error)
