"""Arguments into flag values; whatever the arguments are, one kind of error."""

import pathlib
from collections.abc import Sequence

from absl import flags

from tf_finetune import errors


def parse(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    """Sets flags from arguments such as `--epochs=3`.

    Raises:
        UsageError: A flag is unknown, a value impossible, a flagfile cannot
            be read, or an argument is no flag.
    """
    try:
        rest = values(["tf_finetune", *arguments])[1:]
    except RecursionError as error:
        # Of absl, which looks for flags of like names letter by letter.
        longest = max(arguments, key=len)
        raise errors.UsageError(
            f"Unknown command line flag of {len(longest)} characters, "
            f"{longest[:40]!r}…; no flag is that long."
        ) from error
    except UnicodeError as error:
        raise errors.UsageError(f"A flagfile is not UTF-8: {error}") from error
    except (flags.Error, ValueError) as error:
        raise errors.UsageError(str(error)) from error
    if rest:
        raise errors.UsageError(
            f"Arguments must be flags (--name=value), got {rest[0]!r}."
        )


def parse_file(values: flags.FlagValues, path: str) -> None:
    """Sets flags from a flagfile, as `--flagfile` does.

    Names of files in it may hold bytes that are no UTF-8.

    Raises:
        UsageError: As `parse`.
    """
    try:
        text = pathlib.Path(path).read_text("utf-8", errors="surrogateescape")
    except (OSError, ValueError) as error:
        raise errors.UsageError(f"{path} cannot be read: {error}") from error
    lines = [line.strip() for line in text.split("\n")]
    given = [s for s in lines if s and not s.startswith(("#", "//"))]
    try:
        parse(values, given)
    except errors.UsageError as error:
        raise errors.UsageError(f"{path}: {error}") from error
