"""Detects pictures that were replaced or removed after their inspection.

A run's statements about a picture hold for the bytes that were inspected: their
hash decides the split and is the key of cached features. Files are read again
during training, so that a replaced file would be taken for the original.
"""

import contextlib
import os
import pathlib
from collections.abc import Iterator, Sequence

from tf_finetune import errors, files
from tf_finetune.data import examples

_MAX_SHOWN = 5


def read_stamp(path: str) -> int:
    """Returns a number that changes when the file at `path` is written.

    Raises:
        OSError: It is not there.
    """
    status = os.stat(path)
    # Size and modification time alone can be restored (`touch -r`); the time of
    # the inode's last change cannot, and a renamed file brings its own inode.
    return hash(
        (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    )


def check_unchanged(pictures: Sequence[examples.Picture]) -> None:
    """Checks that the files still have the contents that were inspected.

    Raises:
        RunError: Some are not; it names them.
    """
    found = [
        f"{picture.path} {what}"
        for picture in pictures
        if (what := _describe_change(picture))
    ]
    if not found:
        return
    more = [f"and {len(found) - _MAX_SHOWN} more"] if found[_MAX_SHOWN:] else []
    raise errors.RunError(
        f"{len(found)} pictures changed after this run inspected them: "
        f"{'; '.join([*found[:_MAX_SHOWN], *more])}. The trained weights are "
        "not saved. Do not modify the pictures during a run, and start it "
        "again with --overwrite."
    )


@contextlib.contextmanager
def verify_unchanged(pictures: Sequence[examples.Picture]) -> Iterator[None]:
    """Checks the pictures after its block, also if the block fails.

    A missing file may be the cause of the failure.

    Raises:
        RunError: As `check_unchanged`.
    """
    try:
        yield
    except Exception as error:
        try:
            check_unchanged(pictures)
        except errors.RunError as why:
            raise why from error
        raise
    check_unchanged(pictures)


def _describe_change(picture: examples.Picture) -> str | None:
    """Returns how a picture has changed; None if its content is the same."""
    if picture.stamp is None:
        return None
    try:
        # Renaming and permissions change a stamp too, so that only the hash
        # decides; it is computed for few files.
        if read_stamp(picture.path) == picture.stamp:
            return None
        same = files.sha256(pathlib.Path(picture.path)) == picture.sha256
    except FileNotFoundError:
        return "no longer exists"
    except OSError as error:
        reason = error.strerror or str(error).removesuffix(".")
        return f"can no longer be read: {reason}"
    return None if same else "has different contents"
