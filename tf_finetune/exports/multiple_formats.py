"""Export of several formats in turn; a refused one does not stop the others."""

import contextlib
import dataclasses
import gc
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors, terminal_escapes
from tf_finetune.exports.parity import export_refusal, parity_check

# A converter may print nothing for minutes; these lines show that it runs.
_SECONDS_BETWEEN_LINES = 30.0
# Errors that end one format and not the command; any other one is a bug.
_REPORTED_ERRORS = (errors.RunError, errors.UsageError, OSError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of one export format: a file or an error.

    Attributes:
        name: The format.
        path: The written file or folder; None: the format was refused.
        largest: The largest absolute difference of a prediction from the
            evaluation's; None: not known.
        error: The reason of a refusal; None: the format was written.
    """

    name: str
    path: pathlib.Path | None = None
    largest: float | None = None
    error: Exception | None = None


def write_formats(
    formats: Sequence[str],
    export: Callable[[str], pathlib.Path],
    *,
    folder: pathlib.Path,
    describe_pictures: Callable[[pathlib.Path], str],
    report: Callable[[str], None],
) -> list[pathlib.Path]:
    """Exports every format and reports a table if there are several.

    A format that fails its check does not stop the others; `parity.json`
    records it until it passes.

    Args:
        formats: Names of formats, at least one.
        export: Writes and checks the format of a name and returns its path, or
            raises.
        folder: Destination of the exports.
        describe_pictures: Gets the path of an export and returns the words for
            the pictures that it was checked on.
        report: Called with each line for the user.

    Returns:
        The written paths, in the order of `formats`.

    Raises:
        RunError: At least one of several formats was refused; the others are
            written. The message names each.
        Exception: The error of `export`, if there is one format.
    """
    outcomes = []
    for place, name in enumerate(formats, 1):
        logging.info(
            "Writing and checking %s (%d of %d).", name, place, len(formats)
        )
        outcomes.append(_try_format(name, export, folder))
        # A conversion leaves several copies of the weights in cycles of few
        # objects, which Python would collect only many formats later.
        gc.collect()
        path = outcomes[-1].path
        if path is not None:
            report(
                f"{name}: {path}, checked on {describe_pictures(path)} "
                "(parity.json)"
            )
    if len(formats) > 1:
        report(render_table(outcomes))
    _require_all_passed(outcomes, export_refusal.read_refusals(folder))
    return [each.path for each in outcomes]


def render_table(outcomes: Sequence[Outcome]) -> str:
    """Renders a text table with a line for each format.

    Args:
        outcomes: The results, in the order of the lines.

    Returns:
        Lines of format, "passed" or "refused", largest difference and path,
        below a line of titles.
    """
    rows = [("format", "result", "differs by", "where")]
    for each in outcomes:
        differs = "" if each.largest is None else f"{each.largest:.2g}"
        result = "refused" if each.path is None else "passed"
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
def log_progress(
    what: str, seconds: float = _SECONDS_BETWEEN_LINES
) -> Iterator[None]:
    """Logs a line every `seconds` seconds while a block lasts.

    Args:
        what: First words of the line, which ends in ", 60 s so far".
        seconds: Time between two lines.
    """
    done = threading.Event()
    start = time.monotonic()

    def tell() -> None:
        # `wait` is True as soon as the block ends.
        while not done.wait(seconds):
            logging.info("%s, %.0f s so far", what, time.monotonic() - start)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _try_format(
    name: str, export: Callable[[str], pathlib.Path], folder: pathlib.Path
) -> Outcome:
    try:
        with log_progress(f"{name}: still being written and checked"):
            path = export(name)
    except _REPORTED_ERRORS as error:
        # The message without advice: by the time somebody reads parity.json,
        # the advice may name a format that was refused, too.
        fault = getattr(error, "fault", str(error))
        if isinstance(error, errors.RunError):
            # The disk may be full: the first error is the one to report.
            with contextlib.suppress(OSError):
                export_refusal.write_refusal(folder, name, fault)
        largest = getattr(error, "largest", None)
        return Outcome(name=name, error=error, largest=largest)
    export_refusal.remove_refusal(folder, name)
    return Outcome(name=name, path=path, largest=_read_largest_difference(path))


def _read_largest_difference(path: pathlib.Path) -> float | None:
    found = [*_iterate_differences(parity_check.read_figures(path))]
    return max(found, default=None)


def _iterate_differences(figures: Mapping[str, Any]) -> Iterator[float]:
    """Yields the largest difference of predictions of each signature."""
    for value in figures.values():
        # Features and OOD scores are compared relative to their own size, so
        # their differences are no differences of predictions.
        if not isinstance(value, dict) or "largest" in value:
            continue
        if "max_abs_difference" in value:
            yield value["max_abs_difference"]


def _require_all_passed(
    outcomes: Sequence[Outcome], refused: Mapping[str, str]
) -> None:
    """Raises the errors of all formats; advice names no refused format."""
    failed = [each for each in outcomes if each.error is not None]
    if not failed:
        return
    known = {*refused, *(each.name for each in failed)}
    if len(outcomes) == 1:
        (error,) = (each.error for each in failed)
        if isinstance(error, export_refusal.ExportRefusedError):
            raise error.without(known) from error
        raise error
    verb = "was" if len(failed) == 1 else "were"
    sentences = [
        f"{len(failed)} of {len(outcomes)} formats {verb} refused; the others "
        "were written."
        if len(failed) < len(outcomes)
        else f"None of the {len(outcomes)} formats passed."
    ]
    for each in failed:
        error = each.error
        if isinstance(error, export_refusal.ExportRefusedError):
            error = error.without(known)
        sentences.append(f"{each.name}: {_describe_error(error)}")
    raise errors.RunError(terminal_escapes.join_lines(sentences)) from failed[
        0
    ].error


def _describe_error(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}."
    return str(error)
