"""Labels of pictures that carry any number of them: none, one, several."""

import collections
import dataclasses
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import class_names, examples

SEPARATOR = "|"
_ESCAPED = re.compile(r"\\[\\|]|.", re.DOTALL)
_MARKS = {
    **dict.fromkeys(("1", "1.0", "true"), True),
    **dict.fromkeys(("0", "0.0", "false"), False),
}
# Pictures that a label needs for each of train, validation and test to get one.
_DIVISIBLE = 3
_LISTED = 20


class Labels:
    """One CSV column of `a|b|c`, or several columns of 0 and 1."""

    sources = ("csv",)
    are_columns = False

    def reading(
        self, options: data_options.DataOptions, cache_dir: pathlib.Path
    ) -> "Labels":
        """Returns the same: every method that needs the options gets them."""
        return self

    def columns(
        self, options: data_options.DataOptions
    ) -> dict[str, tuple[str, ...]]:
        """Returns the columns that must be there, by the flag naming them."""
        return {"label_column": options.label_column}

    def of_row(
        self,
        cells: Mapping[str, str],
        where: str,
        beside: pathlib.Path,
        options: data_options.DataOptions,
    ) -> tuple[str, ...]:
        """Reads the labels of a row.

        Args:
            cells: Text by column.
            where: Names the row in messages.
            beside: Not used; labels are no files.
            options: Which columns. One holds `a|b|c`, an empty cell saying
                that the picture has none of the labels; of several each is a
                label and holds 1 or true, 0 or false.

        Returns:
            The labels, sorted.

        Raises:
            DataError: A cell cannot be read so.
        """
        columns = options.label_column
        if len(columns) == 1:
            return listed(cells[columns[0]], f"{where}, column {columns[0]!r}")
        marked = {each: _mark(cells[each], each, where) for each in columns}
        return tuple(sorted(each for each in columns if marked[each]))

    def learnt(self, described: Mapping[str, Any]) -> "Labels":
        """Returns the same: labels say in words what they are."""
        return self

    def settled(
        self, declared: Sequence[str], pictures: Sequence[examples.Picture]
    ) -> "Labels":
        """Returns the same: each label says all there is to know of it."""
        return self

    def names(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns every label that a picture carries, in output order.

        Columns of which no picture carries the label are left out, with a
        warning: there is nothing to learn of them, and nothing to judge.
        """
        present = {name for each in listing.examples for name in each.label}
        columns = options.label_column if len(options.label_column) > 1 else ()
        declared = class_names.ordered({*present, *columns})
        class_names.check(declared)
        _warn(
            "No picture carries the label %s; it is left out.",
            "No picture carries any of the labels %s; they are left out.",
            [name for name in declared if name not in present],
        )
        return tuple(name for name in declared if name in present)

    def inspected(
        self, pictures: Sequence[examples.Picture], names: Sequence[str]
    ) -> tuple[tuple[examples.Picture, ...], tuple[examples.Dropped, ...]]:
        """Names the labels that every split should get its share of.

        Those with too few different pictures for three splits are none of
        them; pictures without any make up a stratum of their own.
        """
        contents = collections.defaultdict(set)
        for picture in pictures:
            for name in picture.label:
                contents[name].add(picture.sha256)
        _warn(
            "No usable picture carries the label %s; it is not learnt.",
            "No usable picture carries any of the labels %s; they are not "
            "learnt.",
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

    def classes(self, label: tuple[str, ...]) -> tuple[str, ...]:
        """Returns nothing: the others can be learnt without any of them."""
        return ()

    def check(self, pictures: Sequence[examples.Picture]) -> None:
        """Makes sure that there is something to learn.

        Raises:
            DataError: No picture carries a label, or the labels are a column
                of zeros and ones.
        """
        present = {name for each in pictures for name in each.label}
        if not present:
            raise errors.DataError(
                "No picture carries a label, so there is nothing to learn. "
                "--label_column names the column of labels (a|b|c), or one "
                "column of 0 and 1 for each label: --label_column=a,b,c."
            )
        if present <= set(_MARKS):
            raise errors.DataError(
                f"The label column holds {', '.join(sorted(present))} instead "
                "of names. For columns of 0 and 1 name them all: "
                "--label_column=a,b,c. To tell two classes apart use "
                "--task=classification."
            )

    def check_drawn(
        self,
        units: Sequence[Sequence[examples.Picture]],
        divided: Mapping[str, Sequence[Sequence[examples.Picture]]],
    ) -> None:
        """Does nothing; `check_divided` warns of what a split lacks."""

    def check_divided(self, pictures: Sequence[examples.Picture]) -> None:
        """Warns of labels that cannot be learnt, or cannot be judged."""
        counts = counted(pictures)
        total = sum(each.split == "train" for each in pictures)
        every = sorted({name for count in counts.values() for name in count})
        train = counts.get("train", collections.Counter())
        _warn(
            "No training picture carries the label %s; it is not learnt.",
            "No training picture carries any of the labels %s; they are not "
            "learnt.",
            [name for name in every if not train[name]],
        )
        _warn(
            "Every training picture carries the label %s; the model always "
            "gives it.",
            "Every training picture carries the labels %s; the model always "
            "gives them.",
            [name for name in every if train[name] == total],
        )
        for split in counts.keys() - {"train"}:
            missing = [name for name in every if not counts[split][name]]
            one = f"No {split} picture carries the label %s."
            many = f"No {split} picture carries any of the labels %s."
            _warn(one, many, missing)

    def text(self, label: tuple[str, ...]) -> str:
        """Returns the labels as a cell of a CSV file holds them."""
        return joined(label)

    def describe(self, data: examples.ImageData) -> dict[str, Any]:
        """Returns how often each label occurs, and how many pictures carry.

        Returns:
            `labels` (pictures by split and label), `with_labels` and
            `without_labels` (pictures by split) and `labels_per_picture` (the
            mean by split).
        """
        counts = counted(data.pictures)
        found: dict[str, Any] = {"labels": {}, "with_labels": {}}
        found |= {"without_labels": {}, "labels_per_picture": {}}
        for split in data.splits:
            its = [len(each.label) for each in data.split(split)]
            found["labels"][split] = {
                name: counts[split][name] for name in data.class_names
            }
            found["with_labels"][split] = sum(each > 0 for each in its)
            found["without_labels"][split] = sum(each == 0 for each in its)
            found["labels_per_picture"][split] = sum(its) / len(its)
        return found


LABELS = Labels()


def total(described: Mapping[str, Any], split: str) -> int:
    """Returns the pictures of a split in what `describe` returned."""
    return described["with_labels"][split] + described["without_labels"][split]


def counted(
    pictures: Iterable[examples.Picture],
) -> dict[str, collections.Counter]:
    """Returns how many pictures of each split carry each label."""
    counts: dict[str, collections.Counter] = {}
    for picture in pictures:
        counts.setdefault(picture.split, collections.Counter()).update(
            picture.label
        )
    return counts


def listed(cell: str, where: str) -> tuple[str, ...]:
    r"""Returns the labels in a cell `a|b|c`, sorted.

    Args:
        cell: `\|` stands for a `|` within a label, `\\` for a backslash;
            spaces around labels do not count. Empty: no label.
        where: Names the cell in messages.

    Raises:
        DataError: A label is empty or stands there twice.
    """
    if not cell.strip():
        return ()
    labels = [""]
    for found in _ESCAPED.findall(cell):
        if found == SEPARATOR:
            labels.append("")
        else:
            labels[-1] += found[-1]
    labels = [each.strip() for each in labels]
    if "" in labels:
        raise errors.DataError(
            f"{where}: {cell!r} holds an empty label; labels are separated by "
            f"single {SEPARATOR!r}, and only a picture without any has an "
            "empty cell."
        )
    for name, count in collections.Counter(labels).items():
        if count > 1:
            raise errors.DataError(f"{where}: {cell!r} holds {name!r} twice.")
    return tuple(sorted(labels))


def joined(labels: Iterable[str]) -> str:
    """Returns `a|b|c`, which `listed` reads."""
    return SEPARATOR.join(escaped(each) for each in labels)


def escaped(name: str) -> str:
    r"""Returns a label with `\|` for `|` and `\\` for a backslash."""
    return name.replace("\\", "\\\\").replace(SEPARATOR, "\\" + SEPARATOR)


def _mark(cell: str, column: str, where: str) -> bool:
    text = cell.strip()
    if text.lower() in _MARKS:
        return _MARKS[text.lower()]
    got = repr(text) if text else "nothing"
    hint = (
        ""
        if text
        else " An empty cell could mean that nobody looked; write 0 where the "
        "label does not apply."
    )
    raise errors.DataError(
        f"{where} has {got} in the column {column!r}; possible are 1 or true, "
        f"0 or false.{hint}"
    )


def _warn(one: str, many: str, labels: Sequence[str]) -> None:
    """Logs a sentence about some labels, if there are any."""
    if not labels:
        return
    shown = ", ".join(map(repr, labels[:_LISTED]))
    if len(labels) > _LISTED:
        shown += f" and {len(labels) - _LISTED} more"
    logging.warning(one if len(labels) == 1 else many, shown)
