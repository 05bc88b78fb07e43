"""Parses arguments into flag values; every failure is a `UsageError`."""

import pathlib
from collections.abc import Sequence

from absl import flags

from tf_finetune import errors, files, terminal_escapes
from tf_finetune.config import flagfile_names, unknown_options

# Bytes; the run.flags that a run writes has 2 kB.
_MAX_FILE_BYTES = 1 << 20
# Characters of an error about a flagfile.
_SHOWN = 1000
# Flags of absl that read other files or hide unknown flags.
_ELSEWHERE = ("flagfile", "undefok")


class ArgumentFlagValues(flags.FlagValues):
    """Flag values that ignore flagfiles named in the arguments."""

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
    """Returns the known flags among arguments, without those of flagfiles."""
    values(["tf_finetune", *arguments], known_only=True)
    return {n for n in values if values[n].present and n != "flagfile"}


def parse_arguments(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    """Sets flags from arguments such as `--epochs=3`.

    Raises:
        UsageError: A flag is unknown, a value is invalid, a flagfile cannot
            be read, or an argument is not a flag.
    """
    arguments = flagfile_names.replace_names(arguments)
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
    """Sets flags from one flagfile; other flagfiles in it are refused.

    File names in it may hold bytes that are not UTF-8.

    Args:
        values: Where the flags are defined and set.
        path: The file.
        within: The folder that it must lie in; None: any.

    Raises:
        UsageError: As `parse_arguments`; or it names another flagfile, is not a
            regular file or is too large for a flagfile.
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
