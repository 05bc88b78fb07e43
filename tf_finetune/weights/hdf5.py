"""Layers and their arrays out of the two HDF5 layouts of Keras.

Nothing but plain arrays stored inside the file itself is read: links and data
sets that point elsewhere are refused, configs stay text.
"""

import json
import math
from typing import Any

import h5py
import numpy as np

from tf_finetune import errors
from tf_finetune.weights import saved

# What a Keras 3 file holds beside the model's own layers.
_STATE = ("optimizer", "_metrics", "metrics", "compile_metrics", "loss_tracker")
# A data set may declare a shape far beyond what the file stores.
_LARGE_BYTES = 1 << 30
_MAX_EXPANSION = 1000


def is_classic(file: h5py.File) -> bool:
    """Says whether `file` names its layers in an attribute (Keras 1 and 2)."""
    return "model_weights" in file or bool(_attribute(file, "layer_names"))


def classic_layers(file: h5py.File) -> tuple[saved.SavedLayer, ...]:
    """Returns the layers of a classic .h5 in the order of the model."""
    root = _child(file, "model_weights") if "model_weights" in file else file
    layers = []
    for name in _attribute(root, "layer_names"):
        group = _child(root, name)
        array_names = _attribute(group, "weight_names")
        layers.append(
            saved.SavedLayer(
                path=name,
                name=name,
                arrays=tuple(_array(group, each) for each in array_names),
                array_names=tuple(array_names),
            )
        )
    return tuple(layers)


def classic_config(file: h5py.File) -> dict[str, Any] | None:
    """Returns the model's config of a whole-model .h5, as plain JSON."""
    text = file.attrs.get("model_config")
    if text is None:
        return None
    try:
        return json.loads(_text(text))
    except ValueError:
        return None  # Only arrays are needed; a config is extra evidence.


def is_keras3(file: h5py.File) -> bool:
    """Says whether `file` holds layers as Keras 3 lays them out."""
    return bool(_vars_groups(file))


def keras3_layers(file: h5py.File) -> tuple[saved.SavedLayer, ...]:
    """Returns the layers of a Keras 3 file, sorted by path.

    Every group that has a child "vars" is a layer; its variables are called
    "0", "1", … in there.
    Source: keras/src/saving/saving_lib.py, `_save_state`, `H5IOStore`.
    """
    found = []
    for path in _vars_groups(file):
        parts = path.split("/")[:-1]
        group = _child(file, path)
        keys = sorted(group, key=lambda key: (len(key), key))
        name = group.attrs.get("name")
        found.append(
            saved.SavedLayer(
                path="/".join(parts),
                name=None if name is None else _text(name),
                arrays=tuple(_array(group, key) for key in keys),
                array_names=tuple(keys),
            )
        )
    return tuple(found)


def _vars_groups(file: h5py.File) -> list[str]:
    paths: list[str] = []
    # Visits every object once and follows no soft or external link.
    file.visit(paths.append)
    return [path for path in paths if _is_layer(path.split("/"))]


def _is_layer(parts: list[str]) -> bool:
    if parts[-1] != "vars" or parts[0] in _STATE:
        return False
    return not any(part.startswith("seed_generator") for part in parts)


def _attribute(group: h5py.Group, name: str) -> list[str]:
    """Returns a list of names; Keras cuts long ones into name0, name1, …."""
    values = list(group.attrs.get(name, ()))
    part = 0
    while f"{name}{part}" in group.attrs:
        values += list(group.attrs[f"{name}{part}"])
        part += 1
    return [_text(value) for value in values]


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _child(group: h5py.Group, path: str) -> h5py.Group:
    node = group
    for part in path.split("/"):
        node = _step(node, part)
    if not isinstance(node, h5py.Group):
        raise errors.RunError(f"The file is damaged: {path!r} is no group.")
    return node


def _step(group: h5py.Group, part: str) -> h5py.Group | h5py.Dataset:
    if not isinstance(group, h5py.Group) or part not in group:
        raise errors.RunError(
            f"The file is damaged: it names {part!r} but does not hold it."
        )
    if not isinstance(group.get(part, getlink=True), h5py.HardLink):
        raise errors.RunError(
            f"The file is refused: {part!r} in it is a link to another place."
        )
    return group[part]


def _array(group: h5py.Group, path: str) -> np.ndarray:
    """Reads one array [its shape] that is stored inside the file."""
    node = group
    for part in path.split("/"):
        node = _step(node, part)
    if not isinstance(node, h5py.Dataset):
        raise errors.RunError(f"The file is damaged: {path!r} is no array.")
    if node.external or node.is_virtual:
        raise errors.RunError(
            f"The file is refused: the array {path!r} lies in another file."
        )
    declared = math.prod(node.shape) * node.dtype.itemsize
    stored = node.id.get_storage_size()
    if declared > _LARGE_BYTES and declared > _MAX_EXPANSION * stored:
        raise errors.RunError(
            f"The file is refused: the array {path!r} claims {declared:,} "
            f"bytes but stores {stored:,}."
        )
    value = np.asarray(node[()])
    if node.attrs.get("dtype") == "bfloat16":
        return _from_bfloat16(value)
    if value.dtype.kind not in "fiub":
        raise errors.RunError(
            f"The file is damaged: the array {path!r} holds {value.dtype}, "
            "not numbers."
        )
    return value


def _from_bfloat16(value: np.ndarray) -> np.ndarray:
    """Widens 2-byte values: bfloat16 is the upper half of a float32."""
    if value.dtype.itemsize != 2:
        return value.astype(np.float32)
    bits = value.view(np.uint16).astype(np.uint32) << 16
    return bits.view(np.float32)
