"""Arrays and tf.data pipelines written as picture files and a CSV."""

import collections
import contextlib
import csv
import dataclasses
import hashlib
import io
import pathlib
import secrets
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from tf_finetune import errors, files
from tf_finetune.data import array_values, progress


def materialize(data: Any, *, cache_dir: pathlib.Path) -> pathlib.Path:
    """Writes pictures in memory as PNG files with a CSV beside them.

    A run that was given arrays then sees files like any other run, and its
    flags can be replayed. The same pictures and labels, in whatever order,
    give the same folder; it is written once.

    Args:
        data: `(images, labels)` or a `tf.data.Dataset` of (image, label),
            batched or not. Images are [height, width], [height, width, 1] or
            [height, width, 3] of values 0..255 (floats are rounded), stacked
            or in a list; labels are whole numbers, names or one-hot rows.
        cache_dir: The files go into arrays/ in it.

    Returns:
        The path of the CSV file, with the columns image and label.

    Raises:
        DataError: The values cannot be pictures with classes.
        RunError: The cache cannot be written.
    """
    folder = pathlib.Path(cache_dir) / "arrays"
    pairs = array_values.pairs(data)
    temporary = folder / f".tmp-{secrets.token_hex(4)}"
    try:
        temporary.mkdir(parents=True)
        names = _write_all(pairs, temporary)
        return _keep(temporary, folder / _fingerprint(names)) / "pictures.csv"
    except OSError as error:
        raise errors.RunError(
            f"Pictures cannot be written to {folder}: {error.strerror}. "
            "--cache_dir names another place."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
