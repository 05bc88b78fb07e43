"""The versions of an exported model on disk."""

import pathlib

from tf_finetune import errors

_GRAPH = "saved_model.pb"


def find(
    folder: pathlib.Path, version: int | None, *, command: str
) -> pathlib.Path:
    """Returns the version directory to serve.

    Args:
        folder: Holds a folder for each version, named by a whole number.
        version: The one asked for; None: the greatest.
        command: The command that exports, for the message.

    Raises:
        UsageError: There is none, or not the one asked for.
    """
    found = _versions(folder)
    if not found:
        raise errors.UsageError(
            f"No exported SavedModel in {folder}. Make one first: {command}"
        )
    if version is not None and version not in found:
        known = ", ".join(map(str, sorted(found)))
        raise errors.UsageError(
            f"--version={version} is not in {folder}. Versions there: {known}."
        )
    return found[max(found) if version is None else version]


def _versions(folder: pathlib.Path) -> dict[int, pathlib.Path]:
    if not folder.is_dir():
        return {}
    return {
        int(path.name): path
        for path in folder.iterdir()
        if path.name.isascii()
        and path.name.isdigit()
        and (path / _GRAPH).is_file()
    }
