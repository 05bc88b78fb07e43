"""Reports on a table: files not found, classes left empty, columns used."""

import collections
import dataclasses
import pathlib
from collections.abc import Sequence

from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, label_protocol
from tf_finetune.data.folders import folder_words
from tf_finetune.data.tables import file_locator, path_advice, table_rows

_SPLIT_COLUMN_NAMES = frozenset(
    {"set", "subset", "partition", "phase", "usage"}
)
"""Other names that people give to the column of splits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of a table, with access to its files and labels.

    Attributes:
        path: Path of the table.
        rows: All its rows.
        files: Finds the files that its cells name.
        labels: The task's labels, which know how the table writes them.
    """

    path: pathlib.Path
    rows: Sequence[table_rows.Row]
    files: file_locator.Locator
    labels: label_protocol.Labels


def report_missing(
    files: file_locator.Locator, missing: Sequence[str], *, found: int
) -> None:
    """Logs a warning for names that lead to no file, with advice.

    Args:
        files: The search that did not find them.
        missing: Names of the table that were not found; empty: nothing is
            logged.
        found: Number of pictures that were found.

    Raises:
        DataError: `found` is 0 and names are missing.
    """
    if not missing:
        return
    advised = path_advice.advise_paths(files, missing)
    if not found:
        which = (
            "The picture that {} names is not"
            if len(missing) == 1
            else f"None of the {len(missing)} pictures that {{}} names is"
        ).format(files.table)
        raise errors.DataError(
            f"{which} found: {missing[0]!r} in {files.root}. {advised}"
        )
    total = len(missing) + found
    logging.warning(
        "%s: %d of %d pictures are not found, e.g. %r. %s",
        files.table,
        len(missing),
        total,
        missing[0],
        advised,
    )


def check_empty_classes(
    table: Table,
    found: Sequence[examples.Example],
    lost: Sequence[examples.Example],
) -> None:
    """Checks that no class loses all its pictures because files are missing.

    Args:
        table: The table and its labels.
        found: Examples whose picture exists.
        lost: Examples whose picture does not.

    Raises:
        DataError: No picture of a class is found.
    """
    classes = table.labels.list_classes
    # A class whose pictures are all missing would vanish without a word.
    present = {name for each in found for name in classes(each.label)}
    counts = collections.Counter(n for e in lost for n in classes(e.label))
    for name, count in counts.items():
        if name not in present:
            files = "one picture" if count == 1 else f"{count} pictures"
            raise errors.DataError(
                f"{table.path} names {files} of the class {name!r}, of which "
                "none is found. Correct the names or remove the rows."
            )


def check_label_files(table: Table, options: data_options.DataOptions) -> None:
    """Checks that labels that are files (masks) are found.

    Args:
        table: The table, its files and its labels.
        options: The names of the columns.

    Raises:
        DataError: One is not found; the message gives advice.
    """
    for column in table.labels.file_columns(options):
        names = [row.cells[column] for row in table.rows]
        missing = [name for name in names if not table.files.exists(name)]
        if missing:
            advised = path_advice.advise_paths(
                table.files, missing, any_root=False
            )
            verb = "is" if len(missing) == 1 else "are"
            raise errors.DataError(
                f"{len(missing)} of the {len(names)} files in the column "
                f"{column!r} of {table.path} {verb} not found, e.g. "
                f"{missing[0]!r}. {advised}"
            )


def report_columns(
    table: Table,
    found: Sequence[examples.Example],
    options: data_options.DataOptions,
) -> None:
    """Logs which columns decide splits and groups of the pictures.

    Warns if a column of another name seems to hold splits.

    Args:
        table: The table.
        found: Examples whose picture exists.
        options: The names of the columns.
    """
    splits = collections.Counter(e.split for e in found if e.split)
    if splits:
        counts = ", ".join(f"{name} {splits[name]}" for name in sorted(splits))
        logging.info(
            "%s: the column %r decides the splits: %s "
            "(--split_column=none ignores it).",
            table.path,
            options.split_column,
            counts,
        )
    elif options.split_column is not None:
        _warn_of_unread_splits(table, options)
    column = options.group_column
    if column is None or not table.rows or column not in table.rows[0].cells:
        return
    groups = {each.group for each in found if each.group}
    if groups:
        logging.info(
            "%s: the column %r decides which pictures stay together: %d %s of "
            "%d pictures (--group_column=none ignores it).",
            table.path,
            column,
            len(groups),
            "group" if len(groups) == 1 else "groups",
            len(found),
        )


def _warn_of_unread_splits(
    table: Table, options: data_options.DataOptions
) -> None:
    """Logs a warning if a column of another name seems to hold the splits."""
    needed = {"image_column": options.image_column}
    for name in table_rows.read_header(table.path, needed):
        if name.casefold() not in _SPLIT_COLUMN_NAMES:
            continue
        rows = table_rows.read_rows(
            table.path, {**needed, "split_column": [name]}
        )
        # Every cell must be the word of one split, and train among them.
        splits = {
            folder_words.SPLITS.get(row.stripped_cells[name].casefold(), ())
            for row in rows
        }
        if all(len(each) == 1 for each in splits) and ("train",) in splits:
            logging.warning(
                "%s: the column %r holds splits and is not used; "
                "--split_column=%s makes it decide them.",
                table.path,
                name,
                name,
            )
