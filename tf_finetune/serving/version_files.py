"""Version of an exported model, loaded from its folder by TensorFlow alone."""

import contextlib
import pathlib
import re
from typing import Any

import tensorflow as tf
from google.protobuf import message
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tf_finetune import errors, files
from tf_finetune.serving import served_model

_CONFIG = "model.config"
# Largest model.config that is read.
_CONFIG_BYTES = 1 << 20

_LABELS = pathlib.Path("assets") / "labels.txt"
_COLUMNS = pathlib.Path("assets") / "columns.json"
# Bytes; a million class names take a quarter of it.
_LARGEST_ASSET = 64 * 2**20


def load_version(
    folder: pathlib.Path, *, name: str
) -> served_model.ServedModel:
    """Loads a version's folder, with TensorFlow alone.

    Args:
        folder: The version's folder, whose name is its number.
        name: The model's name in requests.

    Raises:
        RunError: It is not a SavedModel for serving, or it is damaged.
    """
    try:
        definitions = _read_definitions(folder)
        loaded = tf.saved_model.load(str(folder))
        columns, labels = _read_columns(folder), _read_labels(folder)
    except (OSError, ValueError, LookupError, tf.errors.OpError,
            message.DecodeError) as error:  # fmt: skip
        raise errors.RunError(
            f"{folder} cannot be loaded as a SavedModel: {error}"
        ) from error
    return served_model.ServedModel(
        loaded.signatures,
        definitions,
        loaded,
        name=name,
        version=int(folder.name),
        labels=labels,
        columns=columns,
        folder=folder,
    )


def _read_definitions(
    folder: pathlib.Path,
) -> dict[str, meta_graph_pb2.SignatureDef]:
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    for graph in saved.meta_graphs:
        if tf.saved_model.SERVING in graph.meta_info_def.tags:
            return dict(sorted(graph.signature_def.items()))
    raise ValueError("it holds no graph for serving.")


def _read_labels(folder: pathlib.Path) -> tuple[str, ...]:
    path = folder / _LABELS
    if not path.is_file():
        return ()
    content = files.read_bytes(path, limit=_LARGEST_ASSET, within=folder)
    text = content.decode(errors="replace")
    return tuple(text.removesuffix("\n").split("\n"))


def _read_columns(folder: pathlib.Path) -> dict[str, list[str]]:
    path = folder / _COLUMNS
    # A model from elsewhere may have an unrelated file of that name.
    try:
        found = (
            files.read_json(path, limit=_LARGEST_ASSET, within=folder)
            if path.is_file()
            else {}
        )
    except ValueError:
        return {}
    if not isinstance(found, dict) or "image_bytes" not in found:
        return {}
    return found if all(map(_are_names, found.values())) else {}


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(e, str) for e in value)


def read_model_name(folder: pathlib.Path) -> str:
    """Reads the model's name from the export's `model.config`.

    Args:
        folder: The folder of versions, in which that file may be.

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
