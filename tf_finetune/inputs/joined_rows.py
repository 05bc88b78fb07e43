"""Rows of a table joined with the pictures that a run uses."""

import dataclasses
import os
from collections.abc import Mapping, Sequence

from tf_finetune import errors
from tf_finetune.data import examples, stratified_split
from tf_finetune.inputs import input_rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class JoinedRows:
    """The rows of one split with their pictures.

    Attributes:
        rows: Of the table.
        pictures: For each row, in the order of its paths.
    """

    rows: tuple[input_rows.Row, ...]
    pictures: tuple[tuple[examples.Picture, ...], ...]

    @property
    def names(self) -> list[str]:
        """The hashes of all pictures, row by row."""
        return [each.sha256 for row in self.pictures for each in row]

    @property
    def groups(self) -> list[str]:
        """A key for each row; rows that share a group or a picture share it."""
        # Every picture twice: by its own group and by its row, so that rows
        # are joined by either.
        flat = [each for row in self.pictures for each in row]
        flat += [
            dataclasses.replace(each, group=f"row {number}")
            for number, row in enumerate(self.pictures)
            for each in row
        ]
        found = {}
        for number, unit in enumerate(stratified_split.join_units(flat)):
            for picture in unit:
                found[picture.sha256] = f"unit {number}"
        return [found[row[0].sha256] for row in self.pictures]


def make_row_data(
    data: examples.ImageData, joined: Mapping[str, JoinedRows]
) -> examples.ImageData:
    """Returns the data in which a row is one example: its first picture.

    All pictures of a row have its label, so that tasks compute targets,
    figures and predictions of rows as of pictures.
    """
    first = [row[0] for each in joined.values() for row in each.pictures]
    return dataclasses.replace(data, pictures=tuple(first))


def join_pictures(
    rows: Sequence[input_rows.Row], data: examples.ImageData
) -> tuple[dict[str, JoinedRows], dict[str, str]]:
    """Joins the rows of a table with their pictures, split by split.

    Args:
        rows: Of the table.
        data: The pictures that are used.

    Returns:
        By split, its rows; and by row that is left out, the reason.

    Raises:
        DataError: A split has no row left.
    """
    # By path without "./" and the like, as tables and runs may write it.
    known = {os.path.normpath(each.path): each for each in data.pictures}
    found: dict[
        str, list[tuple[input_rows.Row, tuple[examples.Picture, ...]]]
    ] = {split: [] for split in data.splits}
    left_out = {}
    for row in rows:
        pictures = [known.get(os.path.normpath(path)) for path in row.paths]
        splits = {each.split for each in pictures if each}
        if None in pictures:
            path = row.paths[pictures.index(None)]
            left_out[row.where] = f"a picture is not used: {path}"
        # Such a row would put pictures of training into evaluation.
        elif len(splits) > 1:
            left_out[row.where] = (
                f"its pictures are in {' and '.join(sorted(splits))}"
            )
        else:
            found[splits.pop()].append((row, tuple(pictures)))
    for split, its_rows in found.items():
        if not its_rows:
            reasons = "; ".join(f"{w}: {r}" for w, r in left_out.items())
            raise errors.DataError(
                f"No row of the {split} split has all its pictures: {reasons}"
            )
    return {
        split: JoinedRows(
            rows=tuple(row for row, _ in its_rows),
            pictures=tuple(pictures for _, pictures in its_rows),
        )
        for split, its_rows in found.items()
    }, left_out
