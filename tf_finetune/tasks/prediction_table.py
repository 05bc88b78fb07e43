"""Predictions of single pictures, and the CSV table that holds them."""

import collections
import csv
import dataclasses
import io
import pathlib
import re
from collections.abc import Sequence

import numpy as np

from tf_finetune import errors, files
from tf_finetune.data import data_statistics
from tf_finetune.drawing import display_names

COLUMNS = ("path", "class", "probability", "top_k", "error")
# The column of the true label, where it is known.
TRUE_COLUMN = "true"
_MAX_LISTED = 10
# Spreadsheets compute cells that begin with these (CSV injection), also in the
# full-width forms of Chinese and Japanese input.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER_PATTERN = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """The predicted classes of one file, or the reason why there are none.

    Attributes:
        path: The file.
        class_name: The likeliest class; empty if there is an error.
        probability: Of that class, 0..1; None if there is an error.
        top_k: The likeliest classes with their probabilities, best first.
        error: Reason of a missing prediction; empty if there is one.
    """

    path: str
    class_name: str = ""
    probability: float | None = None
    top_k: tuple[tuple[str, float], ...] = ()
    error: str = ""


def from_probabilities(
    paths: Sequence[str],
    probabilities: np.ndarray,
    class_names: Sequence[str],
    *,
    top_k: int = 5,
) -> list[Prediction]:
    """Makes one prediction for each path.

    Args:
        paths: n files.
        probabilities: [n, classes] in 0..1, in the order of `paths`.
        class_names: In the order of the columns.
        top_k: How many classes to list, fewer if there are fewer.

    Raises:
        ValueError: The arrays do not belong together.
        RunError: A probability is NaN or infinite.
    """
    probabilities = np.asarray(probabilities)
    if probabilities.shape != (len(paths), len(class_names)):
        raise ValueError(
            "Probabilities must be [paths, classes] = "
            f"{(len(paths), len(class_names))}, got {probabilities.shape}."
        )
    if not np.isfinite(probabilities).all():
        raise errors.RunError(
            "The model gives probabilities that are NaN or infinite: its "
            "training diverged, or its file was damaged. Train again with a "
            "lower --learning_rate, or copy the file again."
        )
    # Stable, so that the first of equal classes wins as in argmax.
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top_k]
    return [
        _make_prediction(path, row, best, class_names)
        for path, row, best in zip(paths, probabilities, order, strict=True)
    ]


def write_csv(
    path: pathlib.Path,
    rows: Sequence[Prediction],
    truths: Sequence[str] | None = None,
) -> None:
    r"""Writes predictions as CSV, atomically; with the true class if known.

    Columns `path,class,probability,top_k,error`; top_k is
    `name:probability|name:probability…`, with `\|` for a `|` in a name and
    `\\` for a backslash. Paths keep their line breaks (quoted) and bytes that
    are not UTF-8: `read_table` reads the file.
    """
    write_table(path, COLUMNS, [_format_cells(row) for row in rows], truths)


def write_table(
    path: pathlib.Path,
    columns: Sequence[str],
    table: Sequence[Sequence[str]],
    truths: Sequence[str] | None = None,
) -> None:
    """Writes rows of cells as CSV, atomically; cells may hold anything.

    Cells that a spreadsheet would compute are quoted, see `quote_formula`;
    `read_table` gives them back as they were.

    Args:
        path: The file.
        columns: Their names.
        table: The rows.
        truths: True label of each row, for a last column `true`; None: the
            labels are unknown.
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
        Text by column.
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
    """Undoes `quote_formula`."""
    return cell.removeprefix("'")


def summarize(rows: Sequence[Prediction]) -> str:
    """Counts the predictions of each class and the errors, as text."""
    counts = collections.Counter(
        row.class_name for row in rows if not row.error
    )
    asked = data_statistics.format_count(len(rows), "file")
    lines = [f"{asked}, {sum(counts.values())} predicted:"]
    for name, count in counts.most_common(_MAX_LISTED):
        lines.append(f"  {display_names.pad_name(name, 40)} {count:>8}")
    if len(counts) > _MAX_LISTED:
        rest = sum(count for _, count in counts.most_common()[_MAX_LISTED:])
        lines.append(f"  {len(counts) - _MAX_LISTED} other classes{rest:>26}")
    failed = sum(bool(row.error) for row in rows)
    if failed:
        lines.append(
            f"{failed} could not be used; the column `error` says why."
        )
    return "\n".join(lines)


def _make_prediction(
    path: str, row: np.ndarray, best: np.ndarray, class_names: Sequence[str]
) -> Prediction:
    return Prediction(
        path=path,
        class_name=class_names[best[0]],
        probability=float(row[best[0]]),
        top_k=tuple((class_names[i], float(row[i])) for i in best),
    )


def _format_cells(row: Prediction) -> list[str]:
    listed = "|".join(
        f"{escape_separators(name)}:{probability:.6f}"
        for name, probability in row.top_k
    )
    shown = "" if row.probability is None else f"{row.probability:.6f}"
    return [row.path, row.class_name, shown, listed, row.error]


def escape_separators(name: str) -> str:
    """Escapes backslashes and bars of a name in a list separated by bars."""
    # Backslashes first, or those in front of bars would be doubled.
    return name.replace("\\", "\\\\").replace("|", "\\|")
