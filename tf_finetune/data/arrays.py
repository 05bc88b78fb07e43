"""Writes arrays and tf.data pipelines as picture files and a CSV."""

import collections
import csv
import hashlib
import io
import pathlib
import secrets
import shutil
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from tf_finetune import errors, files
from tf_finetune.data import array_values, progress

_TABLE_NAME = "pictures.csv"


def materialize(data: Any, *, cache_dir: pathlib.Path) -> pathlib.Path:
    """Writes images in memory as PNG files with a CSV of their labels.

    A run that was given arrays then reads files like any other run, and its
    command can be repeated. The folder's name is a hash of the pictures and
    labels, in any order: the same data is written once and found again. A
    folder appears only when it is complete.

    Args:
        data: `(images, labels)` or a `tf.data.Dataset` of (image, label),
            batched or not. Images are [height, width], [height, width, 1] or
            [height, width, 3] of values 0..255 (floats are rounded), stacked or
            in a list; labels are whole numbers, names or one-hot rows.
        cache_dir: The files go into the folder arrays/HASH/ in it.

    Returns:
        The path of pictures.csv, which lies beside the PNG files and has the
        columns image (file name) and label (class name).

    Raises:
        DataError: The values cannot be pictures with classes.
        RunError: The cache cannot be written.
    """
    folder = pathlib.Path(cache_dir) / "arrays"
    # Hashing alone finds the folder of an earlier run; nothing is compressed
    # again.
    if (written := _find_written(data, folder)) is not None:
        return written
    temporary = folder / f".tmp-{secrets.token_hex(4)}"
    try:
        temporary.mkdir(parents=True)
        names = _write_pictures(
            array_values.iterate_pairs(data), temporary, _count_items(data)
        )
        return (
            _publish_folder(temporary, folder / _hash_names(names))
            / _TABLE_NAME
        )
    except OSError as error:
        raise errors.RunError(
            f"Pictures cannot be written to {folder}: {error.strerror}. "
            "--cache_dir names another place."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _find_written(data: Any, folder: pathlib.Path) -> pathlib.Path | None:
    """Returns the CSV that was written earlier for the same arrays, if any."""
    if not array_values.is_repeatable(data):
        return None
    names = [
        name for name, _, _ in _name_pictures(array_values.iterate_pairs(data))
    ]
    table = folder / _hash_names(names) / _TABLE_NAME
    return table if table.exists() else None


def _publish_folder(
    temporary: pathlib.Path, folder: pathlib.Path
) -> pathlib.Path:
    """Renames a complete folder, unless another process has written it."""
    try:
        temporary.rename(folder)
        files.flush_folder(folder.parent)
    except OSError:
        # Another process was faster: the name is a hash of the contents, so
        # that its folder holds the same.
        if not (folder / _TABLE_NAME).exists():
            raise
    return folder


def _count_items(data: Any) -> int | None:
    """Returns the number of examples or batches; None if it is unknown."""
    if array_values.is_repeatable(data):
        return len(data[1])
    # -2 is tf.data.UNKNOWN_CARDINALITY.
    count = int(data.cardinality()) if hasattr(data, "cardinality") else -2
    return count if count >= 0 else None


def _write_pictures(
    pairs: Iterable[tuple[np.ndarray, str]],
    folder: pathlib.Path,
    total: int | None,
) -> list[str]:
    """Writes all pictures, then the CSV; returns the file names."""
    rows = []
    counted = progress.track(
        _name_pictures(pairs), total=total, title="Writing pictures"
    )
    for name, image, label in counted:
        # Level 1 takes a third of the default's time for 5 % more bytes.
        Image.fromarray(image).save(folder / name, compress_level=1)
        rows.append((name, label))
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(("image", "label"))
    table.writerows(sorted(rows))
    files.write_text(folder / _TABLE_NAME, text.getvalue())
    return [name for name, _ in rows]


def _name_pictures(
    pairs: Iterable[tuple[np.ndarray, str]],
) -> Iterator[tuple[str, np.ndarray, str]]:
    """Yields (file name, image, label); the name hashes image and label."""
    seen: collections.Counter = collections.Counter()
    for image, label in pairs:
        digest = hashlib.sha256(f"{image.shape} {label}\n".encode())
        digest.update(np.ascontiguousarray(image).data)
        stem = digest.hexdigest()[:32]
        # The count keeps equal images with equal labels apart.
        yield f"{stem}-{seen[stem]}.png", image, label
        seen[stem] += 1


def _hash_names(names: Iterable[str]) -> str:
    # Sorted: the order of the examples plays no part.
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:32]
