"""Notices pictures that were replaced or removed after they were inspected.

What a run says of a picture it says of the bytes that were inspected: their
hash decides the split and names rows of the cache. Files are read again while
training, so that whatever lies there by then would be taken for the same.
"""

import contextlib
import os
import pathlib
from collections.abc import Iterator, Sequence

from tf_finetune import errors, files
from tf_finetune.data import examples

_SHOWN = 5


def stamp(path: str) -> int:
    """Returns a number that changes when the file at `path` is written.

    Raises:
        OSError: It is not there.
    """
    status = os.stat(path)
    return hash(
        (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    )


def check(pictures: Sequence[examples.Picture]) -> None:
    """Makes sure that the files are those that were inspected.

    Raises:
        RunError: Some are not; it names them.
    """
    found = [
        f"{picture.path} {what}"
        for picture in pictures
        if (what := _change(picture))
    ]
    if not found:
        return
    more = [f"and {len(found) - _SHOWN} more"] if found[_SHOWN:] else []
    raise errors.RunError(
        f"{len(found)} pictures are not as they were when this run looked at "
        f"them: {'; '.join([*found[:_SHOWN], *more])}. What was learnt is not "
        "kept. Leave the pictures alone while a run works, and start it "
        "again with --overwrite."
    )


@contextlib.contextmanager
def watched(pictures: Sequence[examples.Picture]) -> Iterator[None]:
    """Checks after its block, also where that fails: a file may be missing.

    Raises:
        RunError: As `check`.
    """
    try:
        yield
    except Exception as error:
        try:
            check(pictures)
        except errors.RunError as why:
            raise why from error
        raise
    check(pictures)


def _change(picture: examples.Picture) -> str | None:
    """Says what became of a picture; None: it has the same content."""
    if picture.stamp is None:
        return None
    try:
        # Renaming and permissions change a stamp too.
        if stamp(picture.path) == picture.stamp:
            return None
        same = files.sha256(pathlib.Path(picture.path)) == picture.sha256
    except FileNotFoundError:
        return "is not there any more"
    except OSError as error:
        reason = error.strerror or str(error).removesuffix(".")
        return f"cannot be read any more: {reason}"
    return None if same else "has another content"
