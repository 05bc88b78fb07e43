"""JSON files of a workdir, read and checked against their schemas."""

import pathlib
from typing import Any

from tf_finetune import errors, files, terminal_escapes
from tf_finetune.workdir import json_schema


def read(
    path: pathlib.Path,
    kind: json_schema.Kind,
    *,
    within: pathlib.Path | None = None,
    limit: int,
    hint: str = "Copy the folder again, or train again.",
) -> Any:
    """Reads a JSON file and checks it against its kind.

    Args:
        path: The file.
        kind: What it must hold.
        within: The folder that the file must lie in; None: any.
        limit: The most bytes that it may have.
        hint: What to do about a file that is not as it must be.

    Raises:
        FileNotFoundError, NotADirectoryError: It is not there.
        RunError: It is no regular file, cannot be read, is no JSON or holds
            something else; one sentence.
    """
    name = terminal_escapes.escape(str(path))
    try:
        found = files.read_json(path, limit=limit, within=within)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except files.UnfitFileError as error:
        raise errors.RunError(
            f"{terminal_escapes.escape(str(error))} {hint}"
        ) from error
    except OSError as error:
        raise errors.RunError(
            f"{name} cannot be read: {error.strerror or error}. {hint}"
        ) from error
    except (ValueError, MemoryError) as error:
        reason = (
            terminal_escapes.escape(str(error)) or "it does not fit into memory"
        )
        raise errors.RunError(
            f"{name} is not JSON that this package wrote ({reason}); it was "
            f"changed or damaged. {hint}"
        ) from error
    check_value(found, kind, path, hint=hint)
    return found


def check_value(
    value: Any,
    kind: json_schema.Kind,
    path: pathlib.Path,
    *,
    hint: str = "Copy the folder again, or train again.",
) -> None:
    """Raises `RunError` unless a value out of a file is of a kind."""
    if found := kind.find_fault(value, ""):
        raise errors.RunError(
            f"{terminal_escapes.escape(str(path))}: {found}. It was changed or "
            f"damaged. {hint}"
        )
