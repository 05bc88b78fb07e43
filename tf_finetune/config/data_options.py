"""Options for the data of a run."""

import dataclasses
from typing import Literal

from tf_finetune import errors
from tf_finetune.config import conditions, option_types, options

SEPARATORS = {
    "auto": "auto",
    "bar": "bar",
    "|": "bar",
    "semicolon": "semicolon",
    ";": "semicolon",
    "comma": "comma",
    ",": "comma",
    "slash": "slash",
    "/": "slash",
    "plus": "plus",
    "+": "plus",
    "ampersand": "ampersand",
    "&": "ampersand",
    "colon": "colon",
    ":": "colon",
    "dash": "dash",
    "-": "dash",
    "underscore": "underscore",
    "_": "underscore",
    "tab": "tab",
    "line": "line",
    "blank": "blank",
    "list": "list",
}
"""Word for each spelling of `--label_separator`; separators that a flagfile
cannot hold (tab, line break, blank) have only a word."""

_TABLE_OF_VECTORS = {
    "task": ("classification", "multilabel", "regression"),
    "data_format": ("csv",),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Pictures and labels of a run: source, cleaning and splits.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    data: str = options.option(
        "",
        "The pictures: a folder with one folder per class, or with train/, "
        "validation/ and test/ of such folders; a CSV file; tfds:NAME; "
        "digits:FIRST-LAST for scikit-learn's handwritten digits; for "
        "segmentation a folder with images/ and masks/, or such a split.",
        used_by=conditions.EVERY_RUN,
    )
    data_format: str = options.option(
        "auto",
        "How --data is read: auto, folder, pairs, csv, tfds, digits, "
        "or package.module:attribute of a source of your own.",
        names_part=True,
        known_parts=("csv", "digits", "folder", "pairs", "tfds", "tfds_masks"),
    )
    class_level: int | None = options.option(
        None,
        "How many levels below --data the folders lie that are the "
        "classes (1: in --data itself); none: detected from their names.",
        used_by={"data_format": ("folder",)},
    )
    image_column: tuple[str, ...] = options.option(
        ("image",),
        "The column of picture paths; several, with commas, where a row "
        "has several pictures.",
        used_by={"data_format": ("csv",)},
    )
    image_root: str | None = options.option(
        None,
        "The folder that the paths in the table start from; none: the "
        "folder of the table.",
        used_by={"data_format": ("csv",)},
    )
    label_column: tuple[str, ...] = options.option(
        ("label",),
        'The column of labels (segmentation: of masks, "mask" unless '
        "another one is named); several, with commas, for tasks that read "
        "several (classification and multilabel: one of 0 and 1 for each "
        "class or label).",
        used_by={"data_format": ("csv",)},
    )
    label_separator: str = options.option(
        "auto",
        "CSV, multilabel: what stands between the labels of a cell: auto, "
        "bar, comma, semicolon, blank, slash, plus, ampersand, colon, dash, "
        "underscore, tab, line, or list for ['a', 'b'].",
        used_by={"task": ("multilabel",)},
    )
    missing_label: Literal["drop", "keep"] = options.option(
        "drop",
        "Rows whose label is a word for a "
        "missing value (nan, None, NA, null, - …): leave them out, or keep "
        "the word as a class.",
        used_by={
            "task": ("classification", "multilabel"),
            "data_format": ("csv",),
        },
    )
    numeric_columns: tuple[str, ...] = options.option(
        (),
        "Columns of numbers that are inputs beside the pictures.",
        used_by=_TABLE_OF_VECTORS,
    )
    categorical_columns: tuple[str, ...] = options.option(
        (),
        "Columns of words that are inputs beside the pictures; zipcode:3 "
        "stands for the first three characters.",
        used_by=_TABLE_OF_VECTORS,
    )
    split_column: str | None = options.option(
        "split",
        'The column of train|validation|test; "split" may be absent, '
        "none: no column.",
        used_by={"data_format": ("csv",)},
    )
    group_column: str | None = options.option(
        "group",
        "The column of groups (patients, sites …) that must not be "
        'divided between splits; "group" may be absent, none: no column.',
        used_by={"data_format": ("csv",)},
    )
    ignore_label: str | None = options.option(
        None,
        "The class, by name or by its value in the masks, whose "
        "pixels are left out of everything.",
        used_by={"task": ("segmentation",)},
    )
    color_map: str | None = options.option(
        None,
        "A file that maps the colors in the masks to classes, "
        "CSV (name,r,g,b) or JSON.",
        used_by={"task": ("segmentation",)},
    )
    tfds_data_dir: str | None = options.option(
        None,
        "Where TFDS keeps prepared data sets; none: TFDS' own default.",
        used_by={"data_format": ("tfds", "tfds_masks")},
    )
    validation_fraction: float = options.option(
        0.15,
        "Share held out for validation, where the data has no splits of its "
        "own.",
    )
    test_fraction: float | None = options.option(
        None,
        "Share held out for the final test; none: 0.15 where the data has no "
        "splits of its own, else 0.",
    )
    max_train_per_class: int | None = options.option(
        None, "Train on at most this many pictures per class; none: all."
    )
    # 2 * 89,478,485, Pillow's MAX_IMAGE_PIXELS: above it Pillow raises
    # DecompressionBombError.
    max_pixels: int = options.option(
        178_956_970,
        "Drop pictures of more pixels than this (the default is Pillow's "
        "bound against decompression bombs).",
        used_by=conditions.EVERY_RUN,
    )
    bad_data: Literal["drop", "error"] = options.option(
        "drop", "Pictures that cannot be used: drop and report, or stop."
    )

    def __post_init__(self) -> None:
        option_types.require_value(
            self, "image_column", "the column of picture paths."
        )
        option_types.require_value(
            self, "label_column", "the column of labels."
        )
        if self.label_separator not in SEPARATORS:
            raise errors.UsageError(
                f"--label_separator={self.label_separator!r} is unknown; "
                f"possible: {', '.join(dict.fromkeys(SEPARATORS.values()))}."
            )
        option_types.require_range(
            self, "validation_fraction", above=0, below=1
        )
        option_types.require_range(self, "test_fraction", at_least=0, below=1)
        option_types.require_range(self, "max_train_per_class", at_least=1)
        option_types.require_range(self, "max_pixels", at_least=1)
        option_types.require_range(self, "class_level", at_least=1)
        if self.validation_fraction + (self.test_fraction or 0) >= 1:
            raise errors.UsageError(
                "--validation_fraction and --test_fraction leave nothing to "
                f"train on: {self.validation_fraction} + "
                f"{self.test_fraction} is not below 1."
            )

    @property
    def takes_rows(self) -> bool:
        """Whether an example is a table row of several pictures or columns."""
        return bool(
            len(self.image_column) > 1
            or self.numeric_columns
            or self.categorical_columns
        )

    @property
    def input_columns(self) -> dict[str, tuple[str, ...]]:
        """Columns of inputs beside the pictures, by the flag that names them.

        The keys are "numeric_columns" and "categorical_columns"; columns of
        words are named once and without their lengths ("zipcode:3").

        Raises:
            UsageError: The text after a colon is not a number of characters.
        """
        words = [split_prefix(each)[0] for each in self.categorical_columns]
        return {
            "numeric_columns": self.numeric_columns,
            "categorical_columns": tuple(dict.fromkeys(words)),
        }


def split_prefix(column: str) -> tuple[str, int | None]:
    """Splits "zipcode:3" into the column's name and the number of characters.

    Args:
        column: A column of words, as `--categorical_columns` names it.

    Returns:
        The name, and how many first characters of a cell count; None: all.

    Raises:
        UsageError: The text after the colon is not a number above 0.
    """
    name, colon, length = column.partition(":")
    if not colon:
        return name, None
    if not (length.isdecimal() and int(length) > 0):
        raise errors.UsageError(
            f"--categorical_columns={column}: the text after the colon must be "
            f"the number of characters to use, got {length!r}."
        )
    return name, int(length)
