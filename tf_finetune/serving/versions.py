"""The versions of an exported model on disk."""

import contextlib
import pathlib
import re

from tf_finetune import errors, files

_GRAPH = "saved_model.pb"
_CONFIG = "model.config"
_CONFIG_BYTES = 1 << 20


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
    chosen = found[max(found) if version is None else version]
    _check_files(chosen)
    return chosen


def model_name(folder: pathlib.Path) -> str:
    """Returns what the export's `model.config` calls the model.

    Args:
        folder: Holds the versions, and perhaps that file.

    Returns:
        The name, or "model" if there is no such file or no name in it.
    """
    path = folder / _CONFIG
    text = ""
    with contextlib.suppress(OSError):
        text = files.read_text(path, limit=_CONFIG_BYTES)
    found = re.search(r"""\bname\s*:\s*["']([A-Za-z0-9_.@-]+)["']""", text)
    return found[1] if found else "model"


def _check_files(version: pathlib.Path) -> None:
    """Raises `RunError` for what TensorFlow would wait for without end.

    Raises:
        RunError: A pipe, a device or a socket lies among the files.
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
