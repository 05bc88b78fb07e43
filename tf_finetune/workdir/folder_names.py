"""Names of the folders that commands write to where none is given."""

import pathlib
import re

# Of the 255 bytes that file systems allow; a number may follow.
_LONGEST_NAME = 200


def name_folder(
    data: str, *, before: str = "", after: str = ""
) -> pathlib.Path:
    """Names a folder for results after data: runs/BEFORE-DATA-AFTER.

    Args:
        data: Value of `--data`, whose last part is taken.
        before: Word in front; empty: none.
        after: Word behind; empty: none.

    Returns:
        The folder, which is not created, in characters fit for a file name.
    """
    stem = pathlib.PurePath(data).stem or data
    words = [word for word in (before, stem, after) if word]
    name = re.sub(r"[^\w.@-]+", "-", "-".join(words))
    # By characters, so that none is cut in two; the limit is in bytes.
    while len(name.encode()) > _LONGEST_NAME:
        name = name[:-1]
    return pathlib.Path("runs") / name.strip("-")
