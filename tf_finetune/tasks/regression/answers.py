"""Answers of a regression: target values of single pictures as a table."""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Sequence

import numpy as np

from tf_finetune import errors, files, terminal_escapes
from tf_finetune.tasks import prediction_table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer for one file.

    Attributes:
        path: The file.
        values: By name of the target, in the user's units; empty if there is
            an error.
        error: Why there is no answer; empty if there is one.
    """

    path: str
    values: dict[str, float] = dataclasses.field(default_factory=dict)
    error: str = ""


class Answers:
    """The targets of each picture."""

    def build_rows(
        self,
        paths: Sequence[str],
        predictions: np.ndarray,
        names: Sequence[str],
        *,
        top_k: int = 5,
    ) -> list[Prediction]:
        """Returns the values of each picture; `top_k` is ignored.

        Raises:
            RunError: A value is NaN or infinite.
        """
        del top_k
        if not np.isfinite(predictions).all():
            raise errors.RunError(
                "The model gives values that are NaN or infinite: its "
                "training diverged, or its file was damaged. Train again with "
                "a lower --learning_rate, or copy the file again."
            )
        return [
            Prediction(
                path=path,
                values=dict(zip(names, map(float, row), strict=True)),
            )
            for path, row in zip(paths, predictions, strict=True)
        ]

    def build_error_row(self, path: str, reason: str) -> Prediction:
        """Returns a row without values."""
        return Prediction(path=path, error=reason)

    def format_row(self, row: Prediction) -> str:
        """Formats the values by name."""
        if row.error:
            return terminal_escapes.format_line(row.path, f"error: {row.error}")
        shown = ", ".join(
            f"{terminal_escapes.quote(name)} {value:.6g}"
            for name, value in row.values.items()
        )
        return terminal_escapes.format_line(row.path, shown)

    def write(
        self,
        path: pathlib.Path,
        rows: Sequence[Prediction],
        truths: Sequence[Sequence[float]] | None = None,
    ) -> None:
        """Writes `path`, a column for each target, and `error` as CSV.

        Paths keep their line breaks (quoted) and bytes that are no UTF-8;
        `prediction_table.read_table` gives them back as they were.

        Where the true values are known, they follow as `true NAME`.
        """
        # Rows of failed files have no values; any other one has all targets.
        names = next((list(row.values) for row in rows if row.values), [])
        text = io.StringIO(newline="")
        # Before Python 3.13, csv does not quote a lone carriage return.
        writer = csv.writer(
            text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC
        )
        quote = prediction_table.quote_formula
        true = [f"true {name}" for name in names if truths is not None]
        writer.writerow(["path", *map(quote, names), "error", *true])
        known = [()] * len(rows) if truths is None else truths
        for row, values_known in zip(rows, known, strict=True):
            # Nine digits tell every float32 from its neighbours.
            values = [
                float(f"{row.values[name]:.9g}") if row.values else ""
                for name in names
            ]
            writer.writerow(
                [quote(row.path), *values, quote(row.error), *values_known]
            )
        files.write_text(pathlib.Path(path), text.getvalue())

    def summarize(self, rows: Sequence[Prediction]) -> str:
        """Summarizes the range of each target and the number of errors."""
        good = [row for row in rows if row.values]
        lines = [f"{len(rows)} rows, {len(good)} predicted:"]
        for name in good[0].values if good else ():
            values = [row.values[name] for row in good]
            lines.append(
                f"  {terminal_escapes.quote(name)}: {min(values):.6g} to "
                f"{max(values):.6g}, median {float(np.median(values)):.6g}"
            )
        failed = sum(bool(row.error) for row in rows)
        if failed:
            lines.append(
                f"{failed} could not be used; the column `error` says why."
            )
        return "\n".join(lines)


ANSWERS = Answers()
