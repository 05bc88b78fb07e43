"""The labels of a task, as `data` reads, checks and divides them."""

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

    A task implements the abstract methods, and overrides another one where its
    labels need more. Methods that learn something about the data return new
    labels that know it.

    Attributes:
        sources: The data formats that such labels can be read from.
        are_columns: Whether the names of the model's outputs are those of
            the columns, so that a label's meaning hangs on their order.
        if_rows_differ: What to do if two rows of a table label one picture
            differently: "keep one of the rows".
    """

    sources: ClassVar[tuple[str, ...]]
    are_columns: ClassVar[bool] = False
    if_rows_differ: ClassVar[str] = "keep one of the rows"

    def configure(
        self, options: data_options.DataOptions, cache_dir: pathlib.Path
    ) -> "Labels":
        """Returns labels configured for the data that is read.

        Args:
            options: Which data.
            cache_dir: Where labels that are files may be kept in another
                form.
        """
        return self

    def required_columns(
        self, options: data_options.DataOptions
    ) -> dict[str, tuple[str, ...]]:
        """Returns the CSV columns that must exist, by the flag naming them."""
        return {"label_column": options.label_column}

    def file_columns(
        self, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns the CSV columns whose cells name label files (masks)."""
        return ()

    def configure_for_table(
        self,
        rows: Sequence[table_rows.Row],
        table: str,
        options: data_options.DataOptions,
    ) -> "Labels":
        """Returns labels configured for the notation of a whole table.

        Args:
            rows: All of the table.
            table: Its name in messages.
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
        """Returns the label in a row of a CSV file; None if it is missing.

        Args:
            cells: Text by column, without spaces around it.
            where: Names the row in messages: "x.csv, line 3".
            files: Finds files that the row names.
            options: The names of the columns.

        Raises:
            DataError: The row has no such label.
        """

    def merge_spellings(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> examples.Listing:
        """Returns a listing in which equal labels are spelled alike."""
        return listing

    def restore(self, described: Mapping[str, Any]) -> "Labels":
        """Returns labels that are read as those of a finished run were.

        Args:
            described: The run's data.json.
        """
        return self

    def configure_for_pictures(
        self, declared: Sequence[str], pictures: Sequence[examples.Picture]
    ) -> "Labels":
        """Returns labels configured with facts of all usable pictures.

        Args:
            declared: Classes that the source names; may be empty.
            pictures: Usable as far as their headers say.
        """
        return self

    @abc.abstractmethod
    def names(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns the names of the model's outputs (its classes), in order."""

    @abc.abstractmethod
    def add_strata(
        self, pictures: Sequence[examples.Picture], names: Sequence[str]
    ) -> tuple[tuple[examples.Picture, ...], tuple[examples.DroppedFile, ...]]:
        """Assigns each picture to strata, and drops unusable labels.

        A stratum is a class, or another group of like pictures, of which every
        split gets its share.

        Returns:
            The pictures, and those whose label cannot be used.
        """

    def list_classes(self, label: examples.Label) -> tuple[str, ...]:
        """Returns the classes that a label names; empty if it names none."""
        return ()

    @abc.abstractmethod
    def check(self, pictures: Sequence[examples.Picture]) -> None:
        """Checks that there is something to learn, such as two classes.

        Raises:
            DataError: There is not.
        """

    def check_drawn(
        self,
        units: Sequence[Sequence[examples.Picture]],
        divided: Mapping[str, Sequence[Sequence[examples.Picture]]],
    ) -> None:
        """Checks that no split drawn at random lacks a label it needs.

        Args:
            units: The divided units: pictures that belong together.
            divided: The units of each split.

        Raises:
            DataError: They do not; unless overridden, a split is empty.
        """
        for split, its_units in divided.items():
            if not its_units:
                raise errors.DataError(
                    f"There are {len(units)} pictures or groups that differ, "
                    f"too few for {', '.join(divided)}; {split} gets none. "
                    "Add pictures, or use --test_fraction=0."
                )

    @abc.abstractmethod
    def check_divided(self, pictures: Sequence[examples.Picture]) -> None:
        """Checks that every held-out label occurs in training.

        Raises:
            DataError: It does not.
        """

    @abc.abstractmethod
    def text(self, label: examples.Label) -> str:
        """Returns a label as text; different labels give different texts."""

    @abc.abstractmethod
    def describe(self, data: examples.ImageData) -> dict[str, Any]:
        """Returns the entries of data.json about the labels, ready for JSON."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamedLabels(Labels):
    """Labels of pictures that name the outputs of the model.

    Attributes:
        known: The names that a finished run learned; empty for training.
    """

    known: tuple[str, ...] = ()

    @abc.abstractmethod
    def list_names(self, label: examples.Label) -> tuple[str, ...]:
        """Returns the names in a label."""

    @abc.abstractmethod
    def respell(
        self, label: examples.Label, spelled: Mapping[str, str]
    ) -> examples.Label:
        """Returns a label with its names replaced by those in `spelled`."""

    def merge_spellings(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> examples.Listing:
        """Merges names that are equal numbers, such as 1 and 1.0."""
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
        """Returns labels that know the names of a finished run."""
        return dataclasses.replace(
            self, known=tuple(described.get("class_names", ()))
        )

    def _list_present(self, listing: examples.Listing) -> set[str]:
        return {
            name
            for each in listing.examples
            for name in self.list_names(each.label)
        }
