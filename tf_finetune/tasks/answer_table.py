"""Answers of a task: predictions of single pictures as rows of a table."""

import abc
import csv
import io
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from tf_finetune import errors, files, terminal_escapes
from tf_finetune.config import picture_options
from tf_finetune.data import data_statistics

_MAX_LISTED = 10
# The column of the true label, where it is known.
TRUE_COLUMN = "true"
# Spreadsheets compute cells that begin with these (CSV injection), also in the
# full-width forms of Chinese and Japanese input.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER_PATTERN = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")


class AnswerTable(abc.ABC):
    """Table of predictions: builds, prints, writes and counts its rows.

    Attributes:
        row_type: Dataclass of a row, one per picture file; `path` and
            `error` are among its fields, all others have defaults.
        columns: Names of the columns of the CSV file.
    """

    row_type: ClassVar[type]
    columns: ClassVar[tuple[str, ...]]

    @abc.abstractmethod
    def build_row(
        self,
        path: str,
        prediction: np.ndarray,
        names: Sequence[str],
        *,
        top_k: int,
    ) -> Any:
        """Builds the table row of one picture, with an empty `error`.

        `prediction` is [..., outputs], finite; `names` are those of the
        outputs; tasks that list names list `top_k` at most.
        """

    @abc.abstractmethod
    def describe(self, row: Any) -> str:
        """Formats the prediction of a row without an error, on one line."""

    @abc.abstractmethod
    def format_cells(self, row: Any) -> list[str]:
        """Returns the CSV cells of a row, in the order of `columns`."""

    def format_truth(self, label: Any) -> str:
        """Formats a true label for the column `true`; here it is a text."""
        return label

    def count_answers(self, rows: Sequence[Any]) -> list[str]:
        """Formats numbers of rows by answer, as lines; [] unless overridden.

        All `rows` have an answer, none an error.
        """
        return []

    def build_rows(
        self,
        paths: Sequence[str],
        predictions: np.ndarray,
        names: Sequence[str],
        *,
        top_k: int = 5,
    ) -> list[Any]:
        """Builds one row per path, in the order of `paths`.

        Args:
            paths: n files.
            predictions: [n, …, outputs], in the order of `paths`.
            names: Names of the outputs, in their order.
            top_k: How many names are listed, where the task lists some.

        Raises:
            ValueError: The shape of `predictions` does not fit.
            RunError: A prediction is NaN or infinite.
        """
        predictions = np.asarray(predictions)
        shape = (len(predictions), predictions.shape[-1])
        if shape != (len(paths), len(names)):
            raise ValueError(
                f"Predictions must be of {len(paths)} paths and {len(names)} "
                f"outputs, got the shape {predictions.shape}."
            )
        if not np.isfinite(predictions).all():
            raise errors.RunError(
                "The model gives predictions that are NaN or infinite: its "
                "training diverged, or its file was damaged. Train again with "
                "a lower --learning_rate, or copy the file again."
            )
        return [
            self.build_row(path, each, names, top_k=top_k)
            for path, each in zip(paths, predictions, strict=True)
        ]

    def build_error_row(self, path: str, reason: str) -> Any:
        """Builds the row of a file without a prediction, with its `error`."""
        return self.row_type(path=path, error=reason)

    def format_row(self, row: Any) -> str:
        """Formats a path with its prediction, or the error, on one line."""
        shown = f"error: {row.error}" if row.error else self.describe(row)
        return terminal_escapes.format_line(row.path, shown)

    def write(
        self,
        path: pathlib.Path,
        rows: Sequence[Any],
        truths: Sequence[Any] | None = None,
    ) -> None:
        """Writes rows as CSV, atomically; `read_table` reads the file.

        Paths keep their line breaks (quoted) and bytes that are not UTF-8.
        True labels (`truths`, one per row), if any, fill a column `true`.
        """
        true = truths and [self.format_truth(each) for each in truths]
        cells = [self.format_cells(row) for row in rows]
        write_table(path, self.columns, cells, true)

    def summarize(self, rows: Sequence[Any]) -> str:
        """Formats the numbers of predicted files, answers and failures."""
        answered = [row for row in rows if not row.error]
        counted = self.count_answers(answered)
        asked = data_statistics.format_count(len(rows), "file")
        end = ":" if counted else "."
        lines = [f"{asked}, {len(answered)} predicted{end}", *counted]
        return "\n".join([*lines, *count_failed(rows)])


def count_failed(rows: Sequence[Any]) -> list[str]:
    """Formats the number of rows with an error as one line; [] without any."""
    failed = sum(bool(row.error) for row in rows)
    if not failed:
        return []
    return [f"{failed} could not be used; the column `error` says why."]


def list_counts(counts: Sequence[tuple[str, int]]) -> list[str]:
    """Formats the ten most frequent names and their counts, one a line.

    Args:
        counts: Names and counts, the most frequent first.
    """
    return [
        f"  {terminal_escapes.pad_name(name, 40)} {count:>8}"
        for name, count in counts[:_MAX_LISTED]
    ]


def join_shares(shares: Sequence[tuple[str, float]]) -> str:
    r"""Joins names and numbers as `name:0.9|name:0.1` in one cell.

    A `|` in a name is written `\|`, a backslash `\\`.
    """
    return "|".join(
        f"{escape_separators(name)}:{share:.6f}" for name, share in shares
    )


def write_table(
    path: pathlib.Path,
    columns: Sequence[str],
    table: Sequence[Sequence[str]],
    truths: Sequence[str] | None = None,
) -> None:
    """Writes rows of cells as CSV, atomically; cells may hold any text.

    Cells that a spreadsheet would compute are quoted, see `quote_formula`;
    `read_table` restores the original text.

    Args:
        path: The file to write.
        columns: Names of the columns.
        table: The rows, each with one cell per column.
        truths: True labels, for a last column `true`; None: unknown.
    """
    if truths is not None:
        columns = [*columns, TRUE_COLUMN]
        table = [
            [*cells, truth] for cells, truth in zip(table, truths, strict=True)
        ]
    rows = [[quote_formula(cell) for cell in cells] for cells in table]
    # Before Python 3.13, csv does not quote a lone carriage return.
    returns = any("\r" in cell for cells in rows for cell in cells)
    quoting = csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n", quoting=quoting)
    writer.writerow([quote_formula(each) for each in columns])
    writer.writerows(rows)
    files.write_text(pathlib.Path(path), text.getvalue())


def read_table(path: str | pathlib.Path) -> list[dict[str, str]]:
    """Reads the rows of a table of predictions, exactly as they were written.

    Args:
        path: predictions.csv of a run, or a file of `predict --output`.

    Returns:
        One dict per row, column name → text; empty for an empty file.
    """
    # surrogateescape brings back the bytes of paths that are not UTF-8.
    with open(
        path, encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        reader = csv.reader(file)
        columns = [unquote_formula(each) for each in next(reader, [])]
        return [
            dict(zip(columns, map(unquote_formula, cells), strict=True))
            for cells in reader
        ]


def quote_formula(cell: str) -> str:
    """Quotes a cell so that spreadsheets show it instead of computing it.

    Text that begins like a formula gets an apostrophe in front, as do texts
    that begin with an apostrophe; numbers stay as they are.
    """
    # "-0.5" is a number, not a formula; a leading apostrophe is doubled, so
    # that reading can always remove one.
    is_formula = cell.startswith(
        _FORMULA_STARTS
    ) and not _NUMBER_PATTERN.fullmatch(cell)
    return f"'{cell}" if is_formula or cell.startswith("'") else cell


def unquote_formula(cell: str) -> str:
    """Undoes `quote_formula`: removes one leading apostrophe, if any."""
    return cell.removeprefix("'")


def escape_separators(name: str) -> str:
    r"""Escapes `\` and `|` in a name, for lists that `|` separates."""
    # Backslashes first, or those in front of bars would be doubled.
    return name.replace("\\", "\\\\").replace("|", "\\|")


class AnswerFiles(Protocol):
    """Writer of predictions that are files of their own, such as masks.

    Attributes:
        table: Name of the CSV file that is written beside them.
    """

    table: str

    def __init__(
        self,
        paths: Sequence[str],
        names: Sequence[str],
        *,
        folder: pathlib.Path,
        resize: picture_options.Resize,
        top_k: int,
        pixels: picture_options.PixelOptions = picture_options.DEFAULT_PIXELS,
    ) -> None:
        """Prepares the writer; arguments are those of `MaskFiles`."""

    def write_squares(self, batches: Iterator[np.ndarray]) -> Iterator[Any]:
        """Writes the files of predictions [batch, size, size, outputs].

        Batches come in the order of the paths; the table row of each picture is
        yielded once its files are written.
        """

    def write_windows(
        self,
        predict: Callable[[np.ndarray], np.ndarray],
        *,
        size: int,
        overlap: float,
    ) -> Iterator[Any]:
        """Writes the files of predictions of overlapping windows.

        Args:
            predict: Pixels [batch, size, size, 3] → predictions [batch, size,
                size, outputs].
            size: Side of a window in pixels.
            overlap: Share that neighboring windows have in common, 0..1.

        Yields:
            The table row of each picture, once its files are written.
        """
