"""Parses arguments into flag values; every failure is a `UsageError`."""

import codecs
import difflib
import os
import pathlib
import stat
from collections.abc import Sequence

from absl import flags

from tf_finetune import errors, files, terminal_escapes
from tf_finetune.config import unknown_options

FOLDER = pathlib.Path(__file__).parents[1] / "flagfiles"
"""Folder of the shipped flagfiles; `configs/` of a checkout links to it."""

_FLAG = "flagfile"
_SUFFIX = ".flags"
# Bytes. The shipped flagfiles have less than 4 kB.
_MAX_BYTES = 1 << 20

# Bytes; the run.flags that a run writes has 2 kB.
_MAX_FILE_BYTES = 1 << 20
# Characters of an error about a flagfile.
_SHOWN = 1000
# Flags of absl that read other files or hide unknown flags.
_ELSEWHERE = ("flagfile", "undefok")


class ArgumentFlagValues(flags.FlagValues):
    """absl's `FlagValues`, but flagfiles named in arguments are not read."""

    def __init__(self) -> None:
        super().__init__()
        # Flags may follow arguments that are not flags.
        self.set_gnu_getopt(True)
        # Defined, so that --flagfile is not an unknown flag.
        flags.DEFINE_string("flagfile", "", "Not read.", flag_values=self)

    def read_flags_from_files(
        self, argv: Sequence[str], force_gnu: bool = True
    ) -> list[str]:
        """Returns the arguments unchanged."""
        return [*argv]


def list_given(
    values: ArgumentFlagValues, arguments: Sequence[str]
) -> set[str]:
    """Returns the names of the known flags that the arguments set themselves.

    Flags that stand in a flagfile only do not count, nor unknown ones.

    Args:
        values: Flag values in which the flags are defined; those that the
            arguments set are set in place.
        arguments: Arguments of a command line, without the program's name.
    """
    values(["tf_finetune", *arguments], known_only=True)
    return {n for n in values if values[n].present and n != "flagfile"}


def parse_arguments(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    """Sets flags from arguments such as `--epochs=3`, in place.

    Args:
        values: Flag values in which the flags are defined and then set.
        arguments: Arguments of a command line, without the program's name;
            `--flagfile=NAME` is read too, unless `values` ignores flagfiles.

    Raises:
        UsageError: A flag is unknown, a value is invalid, a flagfile cannot
            be read, or an argument is not a flag.
    """
    arguments = replace_names(arguments)
    try:
        rest = values(["tf_finetune", *arguments])[1:]
    except RecursionError as error:
        # absl compares names of flags with a recursion a letter.
        longest = max(arguments, key=len)
        raise errors.UsageError(
            f"Unknown command line flag of {len(longest)} characters, "
            f"{longest[:40]!r}…; no flag is that long."
        ) from error
    except UnicodeError as error:
        raise errors.UsageError(f"A flagfile is not UTF-8: {error}") from error
    except flags.UnrecognizedFlagError as error:
        names = _list_unknown(values, arguments, error.flagname)
        raise errors.UsageError(
            unknown_options.explain_flags(names, _group_flags(values))
        ) from None
    except (flags.Error, ValueError) as error:
        raise errors.UsageError(str(error)) from error
    if rest:
        raise errors.UsageError(
            unknown_options.explain_argument(rest[0], _group_flags(values))
        )


def _group_flags(values: flags.FlagValues) -> dict[str, list[str]]:
    """Returns the flags of this package, by the title of their group."""
    return {
        title: [each.name for each in found]
        for title, found in values.key_flags_by_module_dict().items()
        if not title.startswith("absl.")
    }


def _list_unknown(
    values: flags.FlagValues, arguments: Sequence[str], first: str
) -> list[str]:
    """Lists the unknown flags among arguments; `first` is one of them."""
    names = [
        each.lstrip("-").partition("=")[0]
        for each in arguments
        if each.startswith("-") and each.strip("-")[:1].isalpha()
    ]
    # --noNAME is the false form of a boolean NAME.
    found = [e for e in names if e not in values and e[:2] != "no"]
    return list(dict.fromkeys(found if first in found else [first, *found]))


def parse_file(
    values: ArgumentFlagValues,
    path: str,
    *,
    within: pathlib.Path | None = None,
) -> None:
    """Sets flags from one flagfile, in place; it may not name another one.

    File names in it may hold bytes that are not UTF-8.

    Args:
        values: Flag values in which the flags are defined and then set.
        path: The file.
        within: The folder that it must lie in, links followed; None: any.

    Raises:
        UsageError: The file cannot be read, is too large, holds an unknown
            flag or an invalid value, or names another flagfile.
    """
    name = terminal_escapes.escape(str(path))
    try:
        text = files.read_text(
            pathlib.Path(path), limit=_MAX_FILE_BYTES, within=within
        )
    except (OSError, ValueError) as error:
        reason = terminal_escapes.escape(
            getattr(error, "strerror", "") or str(error)
        )
        raise errors.UsageError(f"{name} cannot be read: {reason}") from error
    lines = [line.strip() for line in text.split("\n")]
    given = [s for s in lines if s and not s.startswith(("#", "//"))]
    for flag in given:
        _refuse_other_file(flag, name)
    try:
        parse_arguments(values, given)
    except errors.UsageError as error:
        reason = terminal_escapes.escape(str(error))
        if len(reason) > _SHOWN:
            reason = f"{reason[:_SHOWN]}…"
        raise errors.UsageError(f"{name}: {reason}") from error


def _refuse_other_file(flag: str, path: str) -> None:
    """Raises `UsageError` for a line that reads flags from another file."""
    word = flag.lstrip("-").partition("=")[0].strip()
    if word in _ELSEWHERE or flag.startswith("@"):
        raise errors.UsageError(
            f"{path} names another flagfile (a line begins with "
            f"{'@' if flag.startswith('@') else f'--{word}'}), which is not "
            "read: the flags of a run stand in one file. Remove the line."
        )


def list_names() -> tuple[str, ...]:
    """Returns the names of the package's flagfiles, sorted, without suffix."""
    found = FOLDER.glob("**/*" + _SUFFIX)
    return tuple(
        sorted(_strip_suffix(path.relative_to(FOLDER)) for path in found)
    )


def find_file(name: str) -> str:
    """Returns the path of a flagfile by its name.

    A file of the current folder wins over one of the package.

    Args:
        name: A path, with or without ".flags"; or a name of `list_names`.

    Raises:
        UsageError: There is no such file, or it is no readable flagfile.
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
    """Returns arguments with the names of flagfiles replaced by their paths.

    Args:
        arguments: Arguments of a command line, without the program's name.

    Raises:
        UsageError: A flagfile is not found, or is not readable.
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
