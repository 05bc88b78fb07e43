"""Interface by which the data code reads, checks and divides labels."""

import abc
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import class_names, examples
from tf_finetune.data.tables import file_locator, table_rows


class Labels(abc.ABC):
    """Reads, checks, stratifies and describes the labels of one task.

    An instance knows how labels are written, not the labels themselves. A task
    implements the abstract methods, and overrides another one where its labels
    need more. The `configure` methods and `restore` return labels that know
    more of the data (a new object, or the same one if there is nothing to
    learn).

    Attributes:
        sources: Names of the data sources that such labels can be read from:
            "csv", "folder".
        are_columns: Whether the model's outputs are named after table columns
            (as in regression), so that the order of the columns gives a label
            its meaning.
        if_rows_differ: Advice for the message if two rows of a table label one
            picture differently: "keep one of the rows".
    """

    sources: ClassVar[tuple[str, ...]]
    are_columns: ClassVar[bool] = False
    if_rows_differ: ClassVar[str] = "keep one of the rows"

    def configure(
        self, options: data_options.DataOptions, cache_dir: pathlib.Path
    ) -> "Labels":
        """Returns labels that follow the options, before any data is read.

        Args:
            options: Where the data lies and how it is read.
            cache_dir: The cache, for label files (masks) that are converted.
        """
        return self

    def required_columns(
        self, options: data_options.DataOptions
    ) -> dict[str, tuple[str, ...]]:
        """Returns the CSV columns that must exist, by the flag that names them.

        By default {"label_column": columns of the label}.
        """
        return {"label_column": options.label_column}

    def file_columns(
        self, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns the CSV columns whose cells name label files (masks).

        Empty unless a task's labels are files.
        """
        return ()

    def configure_for_table(
        self,
        rows: Sequence[table_rows.Row],
        table: str,
        options: data_options.DataOptions,
    ) -> "Labels":
        """Returns labels that know the notation of a table (its separator).

        Args:
            rows: All rows of the table.
            table: The table's name in messages.
            options: The names of the columns.

        Raises:
            DataError: The notation cannot be determined.
        """
        return self

    @abc.abstractmethod
    def read_row(
        self,
        cells: Mapping[str, str],
        where: str,
        files: file_locator.Locator,
        options: data_options.DataOptions,
    ) -> examples.Label | None:
        """Reads the label in a row of a CSV file.

        Args:
            cells: Text by column name, without blanks around it.
            where: The row's name in messages: "x.csv, line 3".
            files: Finds label files that the row names.
            options: The names of the columns.

        Returns:
            The label: a class name, a tuple of labels or of numbers, or a mask,
            depending on the task; None if the row says that it is missing
            ("NaN").

        Raises:
            DataError: The cells hold no label of this task.
        """

    def merge_spellings(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> examples.Listing:
        """Returns a listing in which equal labels are spelled alike.

        It is the same object if nothing changes.
        """
        return listing

    def restore(self, described: Mapping[str, Any]) -> "Labels":
        """Returns labels that are read as a finished run read its own.

        Args:
            described: The content of the run's data.json.
        """
        return self

    def configure_for_pictures(
        self, declared: Sequence[str], pictures: Sequence[examples.Picture]
    ) -> "Labels":
        """Returns labels that know facts of all usable pictures.

        Args:
            declared: Classes that the data source names, for masks also names
                by value; may be empty.
            pictures: Pictures whose headers could be read.
        """
        return self

    @abc.abstractmethod
    def names(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns the names of the model's outputs (such as classes), in order.

        Raises:
            DataError: A name cannot be used.
        """

    @abc.abstractmethod
    def add_strata(
        self, pictures: Sequence[examples.Picture], names: Sequence[str]
    ) -> tuple[tuple[examples.Picture, ...], tuple[examples.DroppedFile, ...]]:
        """Assigns each picture to strata, and drops unusable labels.

        A stratum is a class, or another group of like pictures, of which every
        split gets its share.

        Args:
            pictures: Pictures whose headers could be read.
            names: Names of the model's outputs, as `names` returns them.

        Returns:
            New pictures with `strata` and `rare_strata` set, and the files that
            are dropped because their label cannot be used.
        """

    def list_classes(self, label: examples.Label) -> tuple[str, ...]:
        """Returns the classes that a label names; empty if it names none.

        Cleaning counts how many pictures of each of these classes are dropped.
        """
        return ()

    @abc.abstractmethod
    def check(self, pictures: Sequence[examples.Picture]) -> None:
        """Checks that there is something to learn, such as two classes.

        Raises:
            DataError: There is nothing to learn.
        """

    def check_drawn(
        self,
        units: Sequence[Sequence[examples.Picture]],
        divided: Mapping[str, Sequence[Sequence[examples.Picture]]],
    ) -> None:
        """Checks that no split drawn at random lacks a label it needs.

        Args:
            units: Sets of pictures that stay in one split, from
                `stratified_split.join_units`.
            divided: The units of each split, by its name.

        Raises:
            DataError: A split lacks such a label; unless a task overrides it: a
                split is empty.
        """
        for split, its_units in divided.items():
            if not its_units:
                # Helps where a unit is there for each of the other splits.
                is_help = "test" in divided and len(units) >= len(divided) - 1
                raise errors.DataError(
                    f"There are {len(units)} pictures or groups that differ, "
                    f"too few for {', '.join(divided)}; {split} gets none. "
                    f"Add pictures{', or use --test_fraction=0' * is_help}."
                )

    @abc.abstractmethod
    def check_divided(self, pictures: Sequence[examples.Picture]) -> None:
        """Checks that every label of validation and test occurs in training.

        A task may warn instead.

        Raises:
            DataError: A label does not occur in training.
        """

    @abc.abstractmethod
    def text(self, label: examples.Label) -> str:
        """Returns a label as text; different labels give different texts.

        The fingerprint of the data and reports on conflicting labels use it.
        """

    @abc.abstractmethod
    def describe(self, data: examples.ImageData) -> dict[str, Any]:
        """Returns the entries of data.json about the labels, ready for JSON."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamedLabels(Labels):
    """Labels that consist of one or several class names.

    Attributes:
        known: The names that a finished run learned, whose spelling is kept;
            empty for training.
    """

    known: tuple[str, ...] = ()

    @abc.abstractmethod
    def list_names(self, label: examples.Label) -> tuple[str, ...]:
        """Returns the class names in a label, in its order."""

    @abc.abstractmethod
    def respell(
        self, label: examples.Label, spelled: Mapping[str, str]
    ) -> examples.Label:
        """Returns a label with new spellings of its names.

        Args:
            label: A label as it was read.
            spelled: New spelling by old name; other names are kept.
        """

    def merge_spellings(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> examples.Listing:
        """Returns a listing in which equal numbers (1 and 1.0) are one name.

        The plainest spelling stays, or that of `known`; merged names are
        logged. The listing is the same object if nothing changes.
        """
        spelled = class_names.merge_equal_numbers(
            {*self._list_present(listing), *listing.class_names}, self.known
        )
        if not spelled:
            return listing
        class_names.log_merged(spelled)
        return dataclasses.replace(
            listing,
            examples=tuple(
                dataclasses.replace(
                    each, label=self.respell(each.label, spelled)
                )
                for each in listing.examples
            ),
            class_names=tuple(
                dict.fromkeys(spelled.get(n, n) for n in listing.class_names)
            ),
        )

    def restore(self, described: Mapping[str, Any]) -> "NamedLabels":
        """Returns new labels that know the class names in a run's data.json."""
        return dataclasses.replace(
            self, known=tuple(described.get("class_names", ()))
        )

    def _list_present(self, listing: examples.Listing) -> set[str]:
        return {
            name
            for each in listing.examples
            for name in self.list_names(each.label)
        }
