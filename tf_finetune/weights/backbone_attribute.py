"""Name of a run's backbone, as an attribute of its `.weights.h5`.

Arrays alone do not tell "mobilenet_v2" from "mobilenet_v2+torch": both graphs
have the same layers, and compute other features with the same arrays.
"""

import pathlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

_ATTRIBUTE = "tf_finetune_backbone"
# Longer texts are no names of backbones.
_MAX_LENGTH = 200


def write_backbone(path: pathlib.Path, name: str) -> None:
    """Writes a backbone's name into a file of weights, in place.

    Keras ignores it when it loads the file.

    Args:
        path: A complete `.weights.h5`.
        name: As `--backbone` takes it, such as "mobilenet_v2+torch".
    """
    import h5py

    with h5py.File(path, "a") as file:
        file.attrs[_ATTRIBUTE] = name


def read_backbone(file: "h5py.File") -> str | None:
    """Reads the backbone's name from an open file of weights.

    Args:
        file: Of any origin, with checked attributes
            (`hdf5_structure.list_objects`).

    Returns:
        The name, which need not be that of a backbone; None if the file has
        none.
    """
    value = file.attrs.get(_ATTRIBUTE)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str) and 0 < len(value) <= _MAX_LENGTH:
        return value
    return None
