"""Labels of a multi-label model: none, one or several per picture."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune.config import data_options
from tf_finetune.data import class_names, examples, label_protocol
from tf_finetune.data.tables import cell_words, file_locator, table_rows
from tf_finetune.tasks.multilabel import label_cells, label_separators
from tf_finetune.tasks.multilabel import label_counts as counts_of

# Pictures that a label needs for each of train, validation and test to get one.
_DIVISIBLE = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labels(label_protocol.NamedLabels):
    """Labels of a multi-label data set: how they are read, checked, described.

    A picture carries none, one or several. They come from one CSV column such
    as `a|b|c`, or from one column of 0 and 1 per label.

    Attributes:
        separator: Character between labels, a value of `--label_separator`.
    """

    separator: str = "auto"

    sources = ("csv",)
    if_rows_differ = (
        "write all labels of a picture in one row, such as a|b, or keep one of "
        "the rows"
    )

    def configure(
        self, options: data_options.DataOptions, cache_dir: pathlib.Path
    ) -> "Labels":
        """Returns a copy with the separator that the options name.

        With "auto" the object itself is returned; `cache_dir` is not used.
        """
        word = data_options.SEPARATORS[options.label_separator]
        return (
            self
            if word == "auto"
            else dataclasses.replace(self, separator=word)
        )

    def configure_for_table(
        self,
        rows: Sequence[table_rows.Row],
        table: str,
        options: data_options.DataOptions,
    ) -> "Labels":
        """Returns a copy with the separator found in the cells of a table.

        The object itself is returned if the separator is known or each label
        has a column. Logs a warning about rows with a missing label.

        Raises:
            DataError: Several separators are possible.
        """
        if len(options.label_column) > 1:
            return self
        (column,) = options.label_column
        if options.missing_label == "drop":
            cell_words.warn_of_missing(rows, column, table)
        # Given by the user, or found before: no need to guess.
        if self.separator != "auto":
            return self
        texts = [row.cells[column].strip() for row in rows]
        found = label_separators.find_separator(
            [text for text in texts if not class_names.is_missing(text)],
            f"{table}, column {column!r}",
            known=self.known,
        )
        return dataclasses.replace(self, separator=found)

    def read_row(
        self,
        cells: Mapping[str, str],
        where: str,
        files: file_locator.Locator,
        options: data_options.DataOptions,
    ) -> tuple[str, ...] | None:
        """Parses the labels of a row.

        Args:
            cells: Text by column.
            where: Names the row in messages.
            files: Not used; labels are no files.
            options: The label columns. A single one holds all labels, and an
                empty cell means none of them; of several columns each is a
                label and holds a mark such as 1 or 0.

        Returns:
            The labels, sorted; None if the cell is a word for "missing" and
            `--missing_label` drops such rows.

        Raises:
            DataError: A cell cannot be parsed.
        """
        columns = options.label_column
        if len(columns) > 1:
            return tuple(
                sorted(
                    c
                    for c in columns
                    if cell_words.read_mark(cells[c], c, where)
                )
            )
        (column,) = columns
        if options.missing_label == "drop" and class_names.is_missing(
            cells[column]
        ):
            return None
        return label_cells.parse_cell(
            cells[column],
            f"{where}, column {column!r}",
            "bar" if self.separator == "auto" else self.separator,
        )

    def list_names(self, label: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the label, a tuple of names, itself."""
        return label

    def respell(
        self, label: tuple[str, ...], spelled: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Replaces names by those in `spelled`; sorted, without duplicates."""
        # A set: two spellings of a label may become one.
        return tuple(sorted({spelled.get(name, name) for name in label}))

    def merge_spellings(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> examples.Listing:
        """Returns a listing in which equal numbers (1 and 1.0) are one label.

        Labels that are columns of their own stay as they are.
        """
        if len(options.label_column) > 1:
            return listing
        return super().merge_spellings(listing, options)

    def names(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns every label that a picture carries, in output order.

        Columns that are set for no picture are left out, with a warning:
        they can be neither trained nor evaluated.
        """
        present = {name for each in listing.examples for name in each.label}
        columns = options.label_column if len(options.label_column) > 1 else ()
        declared = class_names.sort_names({*present, *columns})
        class_names.check(declared)
        counts_of.warn_of_labels(
            "No picture carries the label %s; it is left out.",
            "No picture carries any of the labels %s; they are left out.",
            [name for name in declared if name not in present],
        )
        return tuple(name for name in declared if name in present)

    def add_strata(
        self, pictures: Sequence[examples.Picture], names: Sequence[str]
    ) -> tuple[tuple[examples.Picture, ...], tuple[examples.DroppedFile, ...]]:
        """Copies pictures with their labels as strata; drops none.

        Every split then gets its share of each label. Labels with too few
        different pictures for three splits are no strata; pictures without such
        labels make up a stratum of their own. Returns the copies and an empty
        tuple of dropped files.
        """
        # By content: copies of a picture always lie in one split.
        contents = collections.defaultdict(set)
        for picture in pictures:
            for name in picture.label:
                contents[name].add(picture.sha256)
        counts_of.warn_of_labels(
            "No usable picture carries the label %s; it is not learned.",
            "No usable picture carries any of the labels %s; they are not "
            "learned.",
            [name for name in names if name not in contents],
        )
        divisible = {k for k, v in contents.items() if len(v) >= _DIVISIBLE}
        return tuple(
            dataclasses.replace(
                each,
                strata=tuple(k for k in each.label if k in divisible) or ("",),
            )
            for each in pictures
        ), ()

    def check(self, pictures: Sequence[examples.Picture]) -> None:
        """Checks that pictures carry labels that can be learned.

        Raises:
            DataError: No picture carries a label, or all labels are marks
                such as 0 and 1.
        """
        counts_of.check_labels(pictures)

    def check_drawn(
        self,
        units: Sequence[Sequence[examples.Picture]],
        divided: Mapping[str, Sequence[Sequence[examples.Picture]]],
    ) -> None:
        """Does nothing; `check_divided` warns about labels a split lacks."""

    def check_divided(self, pictures: Sequence[examples.Picture]) -> None:
        """Logs warnings about labels that cannot be learned or evaluated."""
        counts_of.warn_of_unusable_labels(pictures)

    def text(self, label: tuple[str, ...]) -> str:
        r"""Formats sorted labels as one cell, `a|b|c`; `|` and `\\` escaped."""
        return label_cells.join_labels(label)

    def describe(self, data: examples.ImageData) -> dict[str, Any]:
        """Returns entries of data.json; see `label_counts.describe_labels`."""
        return counts_of.describe_labels(data)


LABELS = Labels()
