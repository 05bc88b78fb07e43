"""The training history: metrics of every epoch, as a CSV file."""

import csv
import io
import pathlib
from collections.abc import Iterable, Mapping

from tf_finetune import errors, files, terminal_escapes

_MAX_BYTES = 64 << 20  # Largest history.csv that is read.


def make_rows(stage: str, epochs: Iterable[Mapping[str, float]]) -> list[dict]:
    """Builds the rows of the history: stage and epoch, then the metrics.

    Args:
        stage: Name of the stage, such as "fine_tune".
        epochs: Metrics of each epoch.

    Returns:
        One dict per epoch: "stage", "epoch" (from 1), and the metrics by name.
    """
    return [
        {"stage": stage, "epoch": number, **figures}
        for number, figures in enumerate(epochs, start=1)
    ]


def write(path: pathlib.Path, table: list[dict]) -> None:
    """Writes history rows as a CSV file, atomically.

    Columns are those of all rows; a metric that a row lacks stays empty.

    Args:
        path: The file; an older one is replaced.
        table: Rows as `make_rows` returns them.
    """
    # Stages report different metrics: the columns are the union, in order.
    columns = list(dict.fromkeys(name for row in table for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    files.write_text(path, text.getvalue())


def read(path: pathlib.Path) -> list[dict]:
    """Reads history rows from a CSV file that `write` has written.

    Args:
        path: The file.

    Returns:
        Rows as `make_rows` returns them, without empty metrics; an empty list
        if the file does not exist (a run without epochs).

    Raises:
        RunError: The file is a link that leads out of its folder, or is not a
            history.
    """
    try:
        text = files.read_text(path, limit=_MAX_BYTES, within=path.parent)
        return [
            {k: _parse_value(k, v) for k, v in row.items() if k and v}
            for row in csv.DictReader(io.StringIO(text, newline=""))
        ]
    except FileNotFoundError:
        return []
    except files.UnfitFileError as error:
        raise errors.RunError(f"{error} Copy the folder again.") from error
    except (ValueError, TypeError, csv.Error) as error:
        raise errors.RunError(
            f"{path} is not a table of epochs "
            f"({terminal_escapes.escape(str(error))}); it was changed or "
            "damaged. Copy the folder again."
        ) from error


def _parse_value(column: str, text: str) -> str | int | float:
    if column == "stage":
        return text
    return int(text) if column == "epoch" else float(text)
