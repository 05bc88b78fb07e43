"""The forms that data can have, and which of them the given data has."""

import difflib
import os
import pathlib
from typing import Protocol

from tf_finetune import errors, registry
from tf_finetune.config import train
from tf_finetune.data import examples

SOURCES = registry.Registry(
    "data format",
    {
        "csv": "tf_finetune.data.sources.csv_file:SOURCE",
        "digits": "tf_finetune.data.sources.digits:SOURCE",
        "folder": "tf_finetune.data.sources.folder:SOURCE",
        "tfds": "tf_finetune.data.sources.tfds_dataset:SOURCE",
    },
)

_POSSIBLE = (
    "a folder with one folder per class (or train/, validation/, test/ of "
    "such folders), a .csv file with the columns image and label, tfds:NAME, "
    "or digits:5-9"
)


class Source(Protocol):
    """Lists the labelled pictures of one form of data."""

    def recognises(self, data: str) -> bool:
        """Tells, from names and what is on disk, if `data` has this form."""

    def list_examples(
        self, options: train.DataOptions, cache_dir: pathlib.Path
    ) -> examples.Listing:
        """Lists the pictures of `options.data`.

        Args:
            options: Which data.
            cache_dir: Where pictures that are no files yet may be written.

        Raises:
            DataError: There is no such data, or it has another form.
        """


def find(options: train.DataOptions) -> Source:
    """Returns the source that reads `options.data`.

    Raises:
        UsageError: No data is given, or the data format is unknown.
        DataError: There is nothing there, or nothing that is recognised.
    """
    if not options.data:
        raise errors.UsageError(f"--data is needed: {_POSSIBLE}.")
    if options.data_format != "auto":
        return SOURCES.get(options.data_format)
    for name in SOURCES.names():
        source = SOURCES.get(name)
        if source.recognises(options.data):
            return source
    raise _unrecognised(options.data)


def _unrecognised(data: str) -> errors.DataError:
    path = pathlib.Path(data).expanduser()
    if path.exists():
        return errors.DataError(
            f"--data={data} is not recognised as data; possible are "
            f"{_POSSIBLE}. --data_format says how to read it."
        )
    return errors.DataError(
        f"--data={data}: there is no such file or folder (looked for "
        f"{os.path.abspath(path)}).{_nearby(path)} Possible are {_POSSIBLE}."
    )


def _nearby(path: pathlib.Path) -> str:
    """Returns a hint at the like-named neighbours of a missing path."""
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
