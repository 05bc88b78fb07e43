"""Answers of a regression: target values of single pictures as a table."""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Sequence

import numpy as np

from tf_finetune import files, terminal_escapes
from tf_finetune.tasks import answer_table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """Prediction for one picture file: its target values, or an error.

    Attributes:
        path: The file.
        values: Target name → value in the user's units; empty if there is an
            error.
        error: Why there is no prediction; empty if there is one.
    """

    path: str
    values: dict[str, float] = dataclasses.field(default_factory=dict)
    error: str = ""


class Answers(answer_table.AnswerTable):
    """Table of the target values of each picture, one column per target."""

    row_type = Prediction
    columns = ()

    def build_row(
        self,
        path: str,
        prediction: np.ndarray,
        names: Sequence[str],
        *,
        top_k: int,
    ) -> Prediction:
        """Builds the table row of one picture.

        Args:
            path: The picture file.
            prediction: [targets] in the user's units.
            names: Names of the targets, in the order of `prediction`.
            top_k: Not used.
        """
        del top_k
        values = dict(zip(names, map(float, prediction), strict=True))
        return Prediction(path=path, values=values)

    def describe(self, row: Prediction) -> str:
        """Formats target names with their values: "age 31.5, weight 70.25"."""
        return ", ".join(
            f"{terminal_escapes.quote(name)} {value:.6g}"
            for name, value in row.values.items()
        )

    def format_cells(self, row: Prediction) -> list[float | str]:
        """Returns one number per target, rounded to nine digits.

        Path and error are left out; `write` puts them around the numbers.
        """
        return [float(f"{value:.9g}") for value in row.values.values()]

    def write(
        self,
        path: pathlib.Path,
        rows: Sequence[Prediction],
        truths: Sequence[Sequence[float]] | None = None,
    ) -> None:
        """Writes `path`, a column per target and `error` as CSV, atomically.

        Paths keep their line breaks (quoted) and bytes that are not UTF-8;
        `read_table` restores them. True values (`truths`, a row each), if
        any, are the last columns, called `true NAME`.
        """
        # Rows of failed files have no values; any other one has all targets.
        names = next((list(row.values) for row in rows if row.values), [])
        text = io.StringIO(newline="")
        # Before Python 3.13, csv does not quote a lone carriage return.
        writer = csv.writer(
            text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC
        )
        quote = answer_table.quote_formula
        true = [f"true {name}" for name in names if truths is not None]
        writer.writerow(["path", *map(quote, names), "error", *true])
        known = [()] * len(rows) if truths is None else truths
        for row, values_known in zip(rows, known, strict=True):
            values = self.format_cells(row) or [""] * len(names)
            writer.writerow(
                [quote(row.path), *values, quote(row.error), *values_known]
            )
        files.write_text(pathlib.Path(path), text.getvalue())

    def summarize(self, rows: Sequence[Prediction]) -> str:
        """Formats range and median of each target, and counts failed files."""
        good = [row for row in rows if row.values]
        lines = [f"{len(rows)} rows, {len(good)} predicted:"]
        for name in good[0].values if good else ():
            values = [row.values[name] for row in good]
            lines.append(
                f"  {terminal_escapes.quote(name)}: {min(values):.6g} to "
                f"{max(values):.6g}, median {float(np.median(values)):.6g}"
            )
        return "\n".join([*lines, *answer_table.count_failed(rows)])


ANSWERS = Answers()
