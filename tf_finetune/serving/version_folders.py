"""Version folders of an exported model on disk."""

import contextlib
import pathlib
import re

from tf_finetune import errors, files

_GRAPH = "saved_model.pb"
_CONFIG = "model.config"
# Largest model.config that is read.
_CONFIG_BYTES = 1 << 20


def find_version(
    folder: pathlib.Path, version: int | None, *, command: str
) -> pathlib.Path:
    """Finds the version directory to serve.

    Args:
        folder: Holds a folder for each version, named by a whole number.
        version: The requested number; None: the greatest.
        command: The command that exports, for the message.

    Raises:
        UsageError: There is no version, or not the requested one.
    """
    found = _list_versions(folder)
    if not found:
        raise errors.UsageError(
            f"No exported SavedModel in {folder}. Make one first: {command}"
        )
    if version is not None and version not in found:
        known = ", ".join(map(str, sorted(found)))
        raise errors.UsageError(
            f"--version={version} is not in {folder}. Versions there: {known}."
        )
    chosen = found[max(found) if version is None else version]
    _check_files(chosen)
    return chosen


def read_model_name(folder: pathlib.Path) -> str:
    """Reads the model's name from the export's `model.config`.

    Args:
        folder: Holds the versions, and perhaps that file.

    Returns:
        The name, or "model" if there is no such file or no name in it.
    """
    path = folder / _CONFIG
    text = ""
    with contextlib.suppress(OSError):
        text = files.read_text(path, limit=_CONFIG_BYTES)
    # A text protocol buffer, of which only the first `name` is needed.
    found = re.search(r"""\bname\s*:\s*["']([A-Za-z0-9_.@-]+)["']""", text)
    return found[1] if found else "model"


def _check_files(version: pathlib.Path) -> None:
    """Checks that a version holds regular files only.

    TensorFlow would wait for ever to read from a pipe.

    Raises:
        RunError: A pipe, a device or a socket is among the files.
    """
    try:
        for path in version.rglob("*"):
            if not path.is_dir():
                files.require_regular(path)
    except files.UnfitFileError as error:
        raise errors.RunError(
            f"{version} cannot be served: {error} Export it again, or copy "
            "its folder again."
        ) from error


def _list_versions(folder: pathlib.Path) -> dict[int, pathlib.Path]:
    if not folder.is_dir():
        return {}
    # As TensorFlow Serving: only folders named by a number are versions.
    return {
        int(path.name): path
        for path in folder.iterdir()
        if path.name.isascii()
        and path.name.isdigit()
        and (path / _GRAPH).is_file()
    }
