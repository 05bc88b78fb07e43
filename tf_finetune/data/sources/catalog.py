"""Registry of data sources, and detection of the one that reads `--data`."""

import difflib
import os
import pathlib
from typing import Protocol

from tf_finetune import errors, registry
from tf_finetune.config import data_options
from tf_finetune.data import examples, label_protocol

SOURCES = registry.Registry(
    "data format",
    {
        "csv": "tf_finetune.data.sources.csv_file:SOURCE",
        "digits": "tf_finetune.data.sources.digits:SOURCE",
        "folder": "tf_finetune.data.sources.image_folder:SOURCE",
        "pairs": "tf_finetune.data.sources.image_mask_pairs:SOURCE",
        "tfds": "tf_finetune.data.sources.tfds_dataset:SOURCE",
        "tfds_masks": "tf_finetune.data.sources.tfds_dataset:MASKS",
    },
)

_BUILT_IN = SOURCES.names()
"""The sources of this package, of which the labels are known."""

_FORMS = {
    "folder": "a folder with one folder per class (or train/, validation/, "
    "test/ of such folders)",
    "pairs": "a folder with images/ and masks/ (or train/, validation/, test/ "
    "of such pairs)",
    "csv": "a .csv file with the columns image and label (or mask)",
    "tfds": "tfds:NAME",
    "tfds_masks": "tfds:NAME of pictures and masks",
    "digits": "digits:5-9",
}

_POSSIBLE = (
    f"{_FORMS['folder']}, {_FORMS['pairs']}, {_FORMS['csv']}, "
    f"{_FORMS['tfds']}, or {_FORMS['digits']}"
)

_FOLDERS = ("folder", "pairs")
"""Sources that read folders. The task decides which one; their own errors
explain folders of another form, so that each folder is listed once."""


class Source(Protocol):
    """Interface of a data source: lists the labeled pictures of one format."""

    def recognizes(self, data: str) -> bool:
        """Tells if `data` has this format, by its name and the files on disk.

        Args:
            data: The value of --data: a path, or a name such as tfds:NAME.
        """

    def list_examples(
        self,
        options: data_options.DataOptions,
        labels: label_protocol.Labels,
        cache_dir: pathlib.Path,
    ) -> examples.Listing:
        """Lists the labeled pictures of `options.data`.

        Args:
            options: Where the data lies and how it is read.
            labels: The task's labels, which read those of a table.
            cache_dir: The cache, where pictures that are no files yet are
                written.

        Returns:
            The examples, in an order that does not depend on the file system,
            and the files that are left out.

        Raises:
            DataError: There is no such data, or it has another form.
        """


def find_source(
    options: data_options.DataOptions, labels: label_protocol.Labels
) -> Source:
    """Returns the source that `find_source_name` names; raises as that does."""
    return SOURCES.get(find_source_name(options, labels))


def find_source_name(
    options: data_options.DataOptions, labels: label_protocol.Labels
) -> str:
    """Returns the name of the data source that reads `options.data`: "csv".

    Args:
        options: Where the data lies; its `data_format` names the source, or
            "auto" detects it.
        labels: The task's labels, which tell the sources they can come from.

    Returns:
        A name that is registered in `SOURCES`.

    Raises:
        UsageError: --data is empty, --data_format is unknown, or the format
            holds no labels of this task.
        DataError: There is no such file or folder, or no source recognizes it.
    """
    if not options.data:
        raise errors.UsageError(f"--data is needed: {_POSSIBLE}.")
    if options.data_format != "auto":
        _check_format(options.data_format, labels)
        SOURCES.check(options.data_format)
        return options.data_format
    added = [name for name in SOURCES.names() if name not in _BUILT_IN]
    is_folder = pathlib.Path(options.data).expanduser().is_dir()
    folders = [name for name in labels.sources if name in _FOLDERS]
    if is_folder and folders:
        return folders[0]
    # Sources that carry labels of this task, then those a user added.
    for name in (*labels.sources, *added):
        if SOURCES.get(name).recognizes(options.data):
            return name
    # Recognized, but without labels of this task: said in so many words.
    for name in _BUILT_IN:
        if SOURCES.get(name).recognizes(options.data):
            _check_format(name, labels)
    raise _unrecognized_error(options.data)


def _check_format(name: str, labels: label_protocol.Labels) -> None:
    if name in _BUILT_IN and name not in labels.sources:
        raise errors.UsageError(
            f"Data of the format {name} ({_FORMS[name]}) holds no labels of "
            f"this task, which reads: {', '.join(labels.sources)}. Give --data "
            f"as {' or '.join(_FORMS[each] for each in labels.sources)}, or "
            "choose another --task."
        )


def _unrecognized_error(data: str) -> errors.DataError:
    path = pathlib.Path(data).expanduser()
    if path.exists():
        return errors.DataError(
            f"--data={data} is not recognized as data; possible are "
            f"{_POSSIBLE}. --data_format says how to read it."
        )
    return errors.DataError(
        f"--data={data}: there is no such file or folder (looked for "
        f"{os.path.abspath(path)}).{_suggest_nearby(path)} Possible are "
        f"{_POSSIBLE}."
    )


def _suggest_nearby(path: pathlib.Path) -> str:
    """Returns a hint at the like-named neighbors of a missing path."""
    try:
        names = os.listdir(path.parent)
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=3)
    if not near:
        return ""
    return (
        " Did you mean "
        + " or ".join(repr(str(path.parent / name)) for name in near)
        + "?"
    )
