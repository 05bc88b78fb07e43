"""Finds flagfiles by name: the user's, and those shipped with the package."""

import codecs
import difflib
import os
import pathlib
import stat
from collections.abc import Sequence

from tf_finetune import errors

FOLDER = pathlib.Path(__file__).parents[1] / "flagfiles"
"""Folder of the shipped flagfiles; `configs/` of a checkout links to it."""

_FLAG = "flagfile"
_SUFFIX = ".flags"
# Bytes. The shipped flagfiles have less than 4 kB.
_MAX_BYTES = 1 << 20


def list_names() -> tuple[str, ...]:
    """Returns the names of the flagfiles shipped with the package."""
    found = FOLDER.glob("**/*" + _SUFFIX)
    return tuple(
        sorted(_strip_suffix(path.relative_to(FOLDER)) for path in found)
    )


def find_file(name: str) -> str:
    """Finds the path of a flagfile by its name.

    A file of the current folder wins over one of the package.

    Args:
        name: A path, with or without ".flags"; or a name of `list_names`.

    Raises:
        UsageError: There is no such file.
    """
    own = os.path.expanduser(name)
    bundled = str(FOLDER / name.removeprefix("configs/"))
    # The user's files first, then those of the package.
    tried = [own, own + _SUFFIX]
    # A name with ".." must not lead out of the folder of the package.
    if not os.path.isabs(own) and ".." not in pathlib.PurePath(own).parts:
        tried += [bundled, bundled + _SUFFIX]
    for path in tried if name and "\0" not in name else ():
        # A pipe of the shell, <(…), is a flagfile as well.
        if os.path.exists(path) and not os.path.isdir(path):
            _require_readable(path)
            return path
    short = _strip_suffix(pathlib.PurePath(name.removeprefix("configs/")))
    near = difflib.get_close_matches(short, list_names(), n=1)
    hint = f" Did you mean --flagfile={near[0]}?" if near else ""
    raise errors.UsageError(
        f"There is no flagfile {name!r}.{hint} The package has these: "
        f"{', '.join(list_names())}."
    )


def _require_readable(path: str) -> None:
    """Raises `UsageError` for a device, a huge file or a byte order mark."""
    status = os.stat(path)
    is_device = stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
    if is_device and path != os.devnull:
        raise errors.UsageError(
            f"--flagfile={path} is a device; give a file with one flag a line."
        )
    if status.st_size > _MAX_BYTES:
        raise errors.UsageError(
            f"--flagfile={path} has {status.st_size:,} bytes, and no flagfile "
            f"has more than {_MAX_BYTES:,}; give a file with one flag a line."
        )
    if stat.S_ISREG(status.st_mode):
        _require_no_byte_order_mark(path)


def _require_no_byte_order_mark(path: str) -> None:
    """Raises `UsageError` for a byte order mark at the start of a flagfile."""
    # absl would read it as the first character of the first flag.
    with open(path, "rb") as file:
        start = file.read(len(codecs.BOM_UTF8))
    if start == codecs.BOM_UTF8:
        raise errors.UsageError(
            f"--flagfile={path} begins with a byte order mark, as editors of "
            'Windows write it. Save it as "UTF-8" without BOM.'
        )


def replace_names(arguments: Sequence[str]) -> list[str]:
    """Replaces names of flagfiles in arguments by their paths.

    Raises:
        UsageError: As `find_file`.
    """
    found = list(arguments)
    for place, text in enumerate(arguments):
        # All that follows is not a flag.
        if text == "--":
            break
        name, equals, value = text.partition("=")
        if name not in (f"--{_FLAG}", f"-{_FLAG}"):
            continue
        if equals:
            found[place] = f"{name}={find_file(value)}"
        elif place + 1 < len(found):
            found[place + 1] = find_file(found[place + 1])
    return found


def _strip_suffix(path: pathlib.PurePath) -> str:
    return path.as_posix().removesuffix(_SUFFIX)
