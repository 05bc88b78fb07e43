"""Untrusted Keras model files, checked whole before Keras opens them."""

import contextlib
import io
import json
import math
import pathlib
import zipfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tf_finetune import errors
from tf_finetune.untrusted import archives

if TYPE_CHECKING:
    import h5py

WEIGHTS_MEMBER = "model.weights.h5"
CONFIG_MEMBER = "config.json"
_BACKBONE_ATTRIBUTE = "tf_finetune_backbone"
_SCALING_ATTRIBUTE = "tf_finetune_scaling"
# Longer texts are no names of backbones.
_MAX_NAME_LENGTH = 200


def check_file(path: pathlib.Path) -> None:
    """Raises `RunError` for a .keras or .h5 file larger than any network.

    The numbers of members, levels and objects, the lengths of names and the
    sum of bytes are limited, before anything of that size is allocated. The
    config, which Keras builds layers from, is not checked here.

    Raises:
        RunError: The file is beyond a limit, damaged or cannot be read; the
            message names it.
    """
    with explain_errors(path):
        archives.check_regular_file(path)
        with open(path, "rb") as file:
            # The signature of a zip archive; a .h5 file has none.
            packed = file.read(4) == b"PK\x03\x04"
        if not packed:
            _check_hdf5(path)
            return
        with archives.open_archive(path) as archive:
            content = archive.read(WEIGHTS_MEMBER)
        _check_hdf5(io.BytesIO(content))


def read_config(archive: zipfile.ZipFile) -> Any:
    """Returns the parsed config.json of an open .keras archive, unchecked."""
    return json.loads(archive.read(CONFIG_MEMBER))


def write_backbone(path: pathlib.Path, name: str) -> None:
    """Writes a backbone's name into a file of weights, in place.

    Arrays alone do not tell "mobilenet_v2" from "mobilenet_v2+torch": both
    graphs have the same layers, and compute other features with the same
    arrays. Keras ignores the name when it loads the file.

    Args:
        path: A complete `.weights.h5`.
        name: As `--backbone` takes it, such as "mobilenet_v2+torch".
    """
    import h5py

    with h5py.File(path, "a") as file:
        file.attrs[_BACKBONE_ATTRIBUTE] = name


def read_backbone(file: "h5py.File") -> str | None:
    """Reads the backbone's name from an open file of weights.

    Args:
        file: Of any origin, with checked attributes
            (`hdf5_structure.list_objects`).

    Returns:
        The name, which need not be that of a backbone; None if the file has
        none.
    """
    value = file.attrs.get(_BACKBONE_ATTRIBUTE)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str) and 0 < len(value) <= _MAX_NAME_LENGTH:
        return value
    return None


def write_scaling(path: pathlib.Path, numbers: Sequence[float]) -> None:
    """Writes the scaling of a network's images into a file of its weights.

    Args:
        path: A complete `.weights.h5`; Keras ignores the numbers.
        numbers: Of y = M x + b, x an RGB color in 0..255: M row by row, then
            b, 12 in all.
    """
    import h5py

    with h5py.File(path, "a") as file:
        file.attrs[_SCALING_ATTRIBUTE] = [*numbers]


def read_scaling(path: pathlib.Path) -> tuple[float, ...] | None:
    """Reads the numbers of `write_scaling`.

    Args:
        path: A file of any origin, whose attributes were checked; None is
            returned if it is no HDF5 file or has no such numbers.
    """
    import h5py

    if not h5py.is_hdf5(path):
        return None
    with explain_errors(path), h5py.File(path, "r") as file:
        found = file.attrs.get(_SCALING_ATTRIBUTE)
    if getattr(found, "shape", None) != (12,) or found.dtype.kind != "f":
        return None
    numbers = tuple(float(each) for each in found)
    return numbers if all(map(math.isfinite, numbers)) else None


@contextlib.contextmanager
def explain_errors(path: pathlib.Path) -> Iterator[None]:
    """Turns errors of reading a file in the block into a `RunError`.

    Args:
        path: The file, which the message names.
    """
    try:
        yield
    except errors.RunError as error:
        raise errors.RunError(f"Cannot read {path}. {error}") from error
    except MemoryError as error:
        raise errors.RunError(
            f"{path} does not fit into memory ({error or 'no reason given'}). "
            "Close other programs, or use a smaller network."
        ) from error
    # h5py and zipfile raise any of these for a damaged file.
    except (
        OSError,
        KeyError,
        ValueError,
        TypeError,
        RuntimeError,
        NotImplementedError,
        OverflowError,
        zipfile.BadZipFile,
        EOFError,
    ) as error:
        raise errors.RunError(
            f"{path} is damaged or incomplete ({error}). Copy or download it "
            "again."
        ) from error


def _check_hdf5(file: pathlib.Path | io.BytesIO) -> None:
    # Here, so that commands without such files need not load h5py.
    import h5py

    from tf_finetune.untrusted import hdf5_structure

    with h5py.File(file, "r") as opened:
        hdf5_structure.list_objects(opened)
