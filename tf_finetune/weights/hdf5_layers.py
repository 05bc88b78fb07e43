"""Reads layers and their arrays from the two HDF5 layouts of Keras.

Nothing but plain arrays stored inside the file itself is read: links and data
sets that point elsewhere are refused, configs stay text.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from tf_finetune import errors
from tf_finetune.untrusted import archives, hdf5_structure
from tf_finetune.weights import saved_weights

# Groups of a Keras 3 file beside the model's own layers.
_STATE = ("optimizer", "_metrics", "metrics", "compile_metrics", "loss_tracker")


def is_classic(file: h5py.File) -> bool:
    """Returns whether a file has the layout of Keras 1 and 2.

    It lists its layers in an attribute.
    """
    return "model_weights" in file or bool(_read_names(file, "layer_names"))


def read_classic_layers(
    file: h5py.File,
) -> tuple[saved_weights.SavedLayer, ...]:
    """Reads the layers of a classic .h5, in the order of the model.

    Args:
        file: Open file of weights or of a whole model.

    Returns:
        All layers, also those without arrays; a nested model is one layer.

    Raises:
        RunError: The file is damaged, too large or links to another file.
    """
    root = (
        _open_group(file, "model_weights") if "model_weights" in file else file
    )
    layers, count, read = [], 0, {}
    for name in _read_names(root, "layer_names"):
        group = _open_group(root, name)
        array_names = _read_names(group, "weight_names")
        count += len(array_names)
        if count > hdf5_structure.MAX_OBJECTS:
            hdf5_structure.refuse(
                f"its layers name {count:,} arrays",
                hdf5_structure.MAX_OBJECTS,
            )
        layers.append(
            saved_weights.SavedLayer(
                path=name,
                name=name,
                arrays=tuple(
                    _read_array(group, each, read) for each in array_names
                ),
                array_names=tuple(array_names),
            )
        )
    return tuple(layers)


def read_classic_config(file: h5py.File) -> dict[str, Any] | None:
    """Reads the model's config of a whole-model .h5 as plain JSON.

    Returns:
        The config; None if the file has none or it is damaged.
    """
    text = file.attrs.get("model_config")
    if text is None:
        return None
    if len(text) > archives.MAX_CONFIG_BYTES:
        hdf5_structure.refuse(
            f"its 'model_config' has {len(text):,} bytes",
            archives.MAX_CONFIG_BYTES,
        )
    try:
        return json.loads(_decode_text(text))
    except (ValueError, RecursionError):
        return None  # Only arrays are needed; a config is extra evidence.


def is_keras3(file: h5py.File) -> bool:
    """Returns whether a file holds layers in the layout of Keras 3."""
    return bool(_collect_layer_vars(file))


def read_keras3_layers(file: h5py.File) -> tuple[saved_weights.SavedLayer, ...]:
    """Reads the layers of a Keras 3 file, sorted by path.

    Every group that has a child "vars" is a layer; its variables are called
    "0", "1", … in there. Keras on Windows has written backslashes into names:
    such a name is a path of its own.

    Raises:
        RunError: The file is damaged, too large or links to another file.

    Source: keras/src/saving/saving_lib.py, `_save_state`, `H5IOStore`;
    github.com/keras-team/keras/issues/18528.
    """
    found, read = [], {}
    for path, layer in sorted(_collect_layer_vars(file).items()):
        name = layer.attributes.get("name")
        # By length first, so that "10" follows "9".
        keys = sorted(layer.arrays, key=lambda key: (len(key), key))
        found.append(
            saved_weights.SavedLayer(
                path="/".join(path),
                name=None if name is None else _decode_text(name),
                arrays=tuple(
                    _read_array(file, layer.arrays[key], read) for key in keys
                ),
                array_names=tuple(keys),
            )
        )
    return tuple(found)


@dataclasses.dataclass(kw_only=True)
class _LayerVars:
    """Attributes and arrays in the "vars" group of a layer.

    Attributes:
        attributes: Of the group.
        arrays: Their paths in the file, by name.
    """

    attributes: Mapping[str, Any]
    arrays: dict[str, tuple[str, ...]]


def _collect_layer_vars(file: h5py.File) -> dict[tuple[str, ...], _LayerVars]:
    """Returns attributes and arrays of each layer, by the layer's path."""
    structure = hdf5_structure.list_objects(file)
    found: dict[tuple[str, ...], _LayerVars] = {}
    for place in structure.groups:
        path = _split_backslashes(place)
        if _is_layer(path):
            known = found.setdefault(
                path[:-1], _LayerVars(attributes={}, arrays={})
            )
            known.attributes = known.attributes or file["/".join(place)].attrs
    for place in structure.arrays:
        *path, key = _split_backslashes(place)
        if not path or not _is_layer(tuple(path)):
            continue
        known = found.setdefault(
            tuple(path[:-1]), _LayerVars(attributes={}, arrays={})
        )
        if key in known.arrays:
            raise errors.RunError(
                f"The file is damaged: it holds {'/'.join([*path, key])!r} "
                "twice, with slashes and with backslashes in its name."
            )
        known.arrays[key] = place
    return found


def _split_backslashes(place: tuple[str, ...]) -> tuple[str, ...]:
    """Splits names at the backslashes that Keras on Windows wrote into them."""
    return tuple(part for name in place for part in name.split("\\") if part)


def _is_layer(parts: tuple[str, ...]) -> bool:
    if len(parts) < 2 or parts[-1] != "vars" or parts[0] in _STATE:
        return False
    return not any(part.startswith("seed_generator") for part in parts)


def _read_names(group: h5py.Group, name: str) -> list[str]:
    """Reads a list of names from an attribute.

    Keras splits long lists into the attributes name0, name1, …, since HDF5
    limits an attribute to 64 kB.
    """
    keys, part = [name] if name in group.attrs else [], 0
    while f"{name}{part}" in group.attrs:
        keys.append(f"{name}{part}")
        part += 1
    count = sum(math.prod(group.attrs.get_id(key).shape) for key in keys)
    if count > hdf5_structure.MAX_OBJECTS:
        hdf5_structure.refuse(
            f"{name!r} in it lists {count:,} names", hdf5_structure.MAX_OBJECTS
        )
    return [_decode_text(value) for key in keys for value in group.attrs[key]]


def _decode_text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _open_group(group: h5py.Group, path: str) -> h5py.Group:
    node = group
    for part in path.split("/"):
        node = _open_member(node, part)
    if not isinstance(node, h5py.Group):
        raise errors.RunError(f"The file is damaged: {path!r} is not a group.")
    return node


def _open_member(group: h5py.Group, part: str) -> h5py.Group | h5py.Dataset:
    if not isinstance(group, h5py.Group) or part not in group:
        raise errors.RunError(
            f"The file is damaged: it names {part!r} but does not hold it."
        )
    if not isinstance(group.get(part, getlink=True), h5py.HardLink):
        raise errors.RunError(
            f"The file is refused: {part!r} in it is a link to another place."
        )
    return group[part]


def _read_array(
    group: h5py.Group,
    path: str | tuple[str, ...],
    read: dict[Any, np.ndarray],
) -> np.ndarray:
    """Reads one array [its shape] that is stored inside the file.

    Args:
        group: Where the path begins.
        path: Names, or one string with slashes.
        read: The arrays of this file that were read before; one that is named
            twice takes no memory twice.
    """
    node = group
    for part in path.split("/") if isinstance(path, str) else path:
        node = _open_member(node, part)
    if not isinstance(node, h5py.Dataset):
        raise errors.RunError(f"The file is damaged: {path!r} is not an array.")
    # Hard links of one array have one address in the file.
    info = h5py.h5o.get_info(node.id)
    if info.addr not in read:
        read[info.addr] = _read_values(node)
    return read[info.addr]


def _read_values(node: h5py.Dataset) -> np.ndarray:
    # bfloat16 is stored as two bytes of no type ("V").
    if node.dtype.kind not in "fiubV":
        raise errors.RunError(
            f"The file is damaged: the array {node.name!r} holds "
            f"{node.dtype}, not numbers."
        )
    value = np.asarray(node[()])
    if node.attrs.get("dtype") == "bfloat16":
        return _widen_bfloat16(value)
    if value.dtype.kind not in "fiub":
        raise errors.RunError(
            f"The file is damaged: the array {node.name!r} holds "
            f"{value.dtype}, not numbers."
        )
    return value


def _widen_bfloat16(value: np.ndarray) -> np.ndarray:
    """Widens 2-byte values: bfloat16 is the upper half of a float32."""
    if value.dtype.itemsize != 2:
        return value.astype(np.float32)
    bits = value.view(np.uint16).astype(np.uint32) << 16
    return bits.view(np.float32)
