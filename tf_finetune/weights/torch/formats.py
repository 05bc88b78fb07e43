"""The three file formats of PyTorch weights: zip, legacy pickles, safetensors.

Each is read after its sizes are checked against the file's: zip holds data.pkl
and a member per storage, legacy five pickles and then count and numbers of each
storage, safetensors the header's length, a JSON header and the numbers.
"""

import dataclasses
import json
import math
import os
import pathlib
import struct
import zipfile
from collections.abc import Sequence
from typing import Any, BinaryIO, Literal

import numpy as np

from tf_finetune import errors
from tf_finetune.untrusted import archives
from tf_finetune.weights.torch import pickles, tensors

Format = Literal["zip", "legacy", "safetensors"]

# A header of 10,000 tensors has 1 MB.
_MAX_HEADER_BYTES = 4 << 20
# MAGIC_NUMBER and PROTOCOL_VERSION of torch/serialization.py.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


@dataclasses.dataclass(frozen=True, kw_only=True)
class Content:
    """Object saved in a PyTorch file, and the numbers of its tensors.

    Attributes:
        root: The object, usually a dict, with `tensors.TensorView` for tensors.
        numbers: Read-only array [count] by storage key, in the storage's dtype.
    """

    root: Any
    numbers: dict[str, np.ndarray]


def detect_format(start: bytes) -> Format | None:
    """Detects the format of a weights file from its first 10 bytes or more.

    Returns:
        The format, "zip" for every zip archive (also a .keras file); None for
        other files.
    """
    if start.startswith(b"PK\x03\x04"):
        return "zip"
    # The PROTO opcode and the protocol, 2 to 5.
    if start[:1] == b"\x80" and start[1:2] in (
        b"\x02",
        b"\x03",
        b"\x04",
        b"\x05",
    ):
        return "legacy"
    # 8 bytes of header length, then the header, a JSON object.
    return "safetensors" if start[8:10] in (b'{"', b"{}", b"{ ") else None


def find_pickle_member(names: list[str]) -> str | None:
    """Finds "NAME/data.pkl" among names in a zip archive; None without it."""
    found = [each for each in names if each.count("/") == 1]
    return next((each for each in found if each.endswith("/data.pkl")), None)


def read_content(path: pathlib.Path) -> Content:
    """Reads a PyTorch file of any of the formats; runs no code of it.

    Raises:
        RunError: The file is damaged, of another format, or refused.
        OSError: The file cannot be read.
        zipfile.BadZipFile: The file is a damaged zip archive.
    """
    archives.check_regular_file(path)
    with open(path, "rb") as file:
        found = detect_format(file.read(16))
        file.seek(0)
        if found == "legacy":
            return _read_legacy(file)
        if found == "safetensors":
            return _read_safetensors(file)
    if found is None:
        raise errors.RunError("The file is no PyTorch file.")
    with archives.open_archive(path) as archive:
        return _read_zip(archive, path.stat().st_size)


def _read_zip(archive: zipfile.ZipFile, size: int) -> Content:
    member = find_pickle_member(archive.namelist())
    if member is None:
        raise errors.RunError("The archive holds no data.pkl.")
    folder = member.partition("/")[0]
    _check_program(archive, folder)
    for each in archive.infolist():
        if each.compress_type != zipfile.ZIP_STORED:
            raise errors.RunError(
                f"The archive is refused: {each.filename!r} in it is "
                "compressed, which PyTorch does not do."
            )
    if archive.getinfo(member).file_size > pickles.MAX_BYTES:
        raise errors.RunError(
            f"The archive is refused: its data.pkl has more than "
            f"{pickles.MAX_BYTES >> 20} MiB."
        )
    order = f"{folder}/byteorder"
    if order in archive.namelist():
        with archive.open(order) as file:
            _check_byte_order(file.read(16) == b"little")
    with archive.open(member) as file:
        root = pickles.load_pickle(pickles.BoundedFile(file))
    storages = _list_storages(root)
    _check_sum(storages, size)
    return Content(
        root=root,
        numbers={
            each.key: _read_member(archive, folder, each) for each in storages
        },
    )


def _check_program(archive: zipfile.ZipFile, folder: str) -> None:
    if any(each.startswith(f"{folder}/code/") for each in archive.namelist()):
        raise errors.RunError(
            "It is a TorchScript program. Save the weights alone, with "
            "torch.save(net.state_dict(), 'weights.pth')."
        )


def _read_member(
    archive: zipfile.ZipFile, folder: str, storage: tensors.Storage
) -> np.ndarray:
    name = f"{folder}/data/{storage.key}"
    size = archive.getinfo(name).file_size
    if size != storage.byte_count:
        raise errors.RunError(
            f"The storage {name!r} has {size:,} bytes, but "
            f"{storage.count:,} numbers of {storage.dtype} need "
            f"{storage.byte_count:,}."
        )
    content = archive.read(name)
    return np.frombuffer(content, tensors.find_dtype(storage.dtype))


def _read_legacy(file: BinaryIO) -> Content:
    bounded = pickles.BoundedFile(file)
    magic = pickles.load_pickle(bounded)
    if magic != _LEGACY_MAGIC:
        raise errors.RunError(
            "The file is a pickle, but none of PyTorch's. Save the weights "
            "with torch.save(net.state_dict(), 'weights.pth')."
        )
    if pickles.load_pickle(bounded) != _LEGACY_PROTOCOL:
        raise errors.RunError("The file has an unknown protocol of PyTorch.")
    system = pickles.load_pickle(bounded)
    _check_byte_order(
        isinstance(system, dict) and system.get("little_endian") is True
    )
    root = pickles.load_pickle(bounded)
    keys = pickles.load_pickle(bounded)
    storages = {each.key: each for each in _list_storages(root)}
    if not isinstance(keys, list) or not set(storages) <= {
        each for each in keys if isinstance(each, str)
    }:
        raise errors.RunError("The file does not list its storages.")
    return Content(root=root, numbers=_read_numbers(file, keys, storages))


def _read_numbers(
    file: BinaryIO, keys: list[Any], storages: dict[str, tensors.Storage]
) -> dict[str, np.ndarray]:
    """Reads counts and numbers, which follow the pickles of a legacy file."""
    size = os.fstat(file.fileno()).st_size
    found: dict[str, np.ndarray] = {}
    for key in keys:
        storage = storages.get(key) if isinstance(key, str) else None
        if storage is None or key in found:
            raise errors.RunError(
                "A storage belongs to no tensor of the file, or is listed "
                "twice."
            )
        header = file.read(8)
        (count,) = struct.unpack("<q", header) if len(header) == 8 else (-1,)
        if count != storage.count:
            raise errors.RunError(
                f"The storage {key!r} has {count:,} numbers; the tensors say "
                f"{storage.count:,}."
            )
        if storage.byte_count > size - file.tell():
            raise errors.RunError("The file ends too early.")
        content = file.read(storage.byte_count)
        found[key] = np.frombuffer(content, tensors.find_dtype(storage.dtype))
    return found


def _read_safetensors(file: BinaryIO) -> Content:
    size = os.fstat(file.fileno()).st_size
    # uint64 length of the header, JSON header, numbers.
    start = file.read(8)
    (length,) = struct.unpack("<Q", start) if len(start) == 8 else (0,)
    if not 2 <= length <= min(_MAX_HEADER_BYTES, size - 8):
        raise errors.RunError(
            f"Its header has {length:,} bytes; possible are 2 to "
            f"{_MAX_HEADER_BYTES:,}, and no more than the file has."
        )
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise errors.RunError(f"Its header is no JSON ({error}).") from error
    if not isinstance(header, dict):
        raise errors.RunError("Its header is no list of tensors.")
    header.pop("__metadata__", None)
    views = {
        name: _parse_entry(name, entry, size - 8 - length)
        for name, entry in header.items()
    }
    # Tensors may not share bytes: many large ones would fit a small file.
    _check_sum([view.storage for view, _ in views.values()], size)
    numbers = {}
    for view, begin in views.values():
        file.seek(8 + length + begin)
        content = file.read(view.storage.byte_count)
        dtype = tensors.find_dtype(view.storage.dtype)
        numbers[view.storage.key] = np.frombuffer(content, dtype)
    return Content(
        root={name: view for name, (view, _) in views.items()}, numbers=numbers
    )


def _parse_entry(
    name: str, entry: Any, body: int
) -> tuple[tensors.TensorView, int]:
    """Returns the tensor of an entry, and where it begins in the body."""
    if not isinstance(entry, dict):
        raise errors.RunError(f"The entry of {name!r:.80} is no tensor.")
    dtype = tensors.find_safetensors_type(str(entry.get("dtype")))
    if dtype is None:
        raise errors.RunError(
            f"{name!r:.80} has the type {entry.get('dtype')!r:.20}, which is "
            "not readable."
        )
    shape = tensors.list_counts(entry.get("shape"))
    offsets = tensors.list_counts(entry.get("data_offsets"))
    storage = tensors.Storage(key=name, dtype=dtype, count=math.prod(shape))
    fits = (
        len(offsets) == 2
        and offsets[0] <= offsets[1] <= body
        and offsets[1] - offsets[0] == storage.byte_count
    )
    if not fits:
        raise errors.RunError(
            f"{name!r:.80} of shape {list(shape)} in {dtype} does not fit its "
            f"place {list(offsets)} in the file's {body:,} bytes of numbers."
        )
    # Row-major: an axis steps over all elements of the axes behind it.
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return tensors.make_view(storage, 0, shape, strides), offsets[0]


def _check_sum(storages: Sequence[tensors.Storage], size: int) -> None:
    """Raises `RunError` for more numbers than a file has room for."""
    total = sum(each.byte_count for each in storages)
    if total > size:
        raise errors.RunError(
            f"Its tensors have {total:,} bytes, the file {size:,}."
        )


def _check_byte_order(is_little: bool) -> None:
    if not is_little:
        raise errors.RunError(
            "Its numbers are big-endian, which is not readable. Save it again "
            "on a computer of the usual kind."
        )


def _list_storages(root: Any) -> list[tensors.Storage]:
    """Lists the storages of all tensors in an object, each once."""
    found: dict[str, tensors.Storage] = {}
    seen: set[int] = set()
    pending = [root]
    while pending:
        value = pending.pop()
        if isinstance(value, tensors.TensorView):
            storage = value.storage
            if found.setdefault(storage.key, storage) != storage:
                raise errors.RunError(
                    f"Two tensors disagree about the storage {storage.key!r}."
                )
        # A pickle may hold an object many times, or in itself.
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            pending += value.values() if isinstance(value, dict) else value
    return list(found.values())
