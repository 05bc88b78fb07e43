"""PyTorch files for tests, written without PyTorch.

The pickles are those of `torch.save`: `torch.*` names appear as globals, and
storages as persistent ids.
"""

import io
import json
import math
import pathlib
import pickle
import struct
import zipfile

import numpy as np

_STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
_SAFETENSORS = {"float32": "F32", "float16": "F16", "int64": "I64"}


class Global:
    """A name in a pickle, written as "c" MODULE NAME, never imported."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Call:
    """A call of a global with arguments."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments


class Tensor:
    """A view of a storage."""

    def __init__(self, storage, shape, strides=None, offset=0, old=False):
        self.storage, self.shape, self.offset = storage, tuple(shape), offset
        plain = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        self.strides = tuple(plain if strides is None else strides)
        self.old = old


class Storage:
    """Numbers under a key."""

    def __init__(self, key, numbers, dtype=None, count=None):
        self.key, self.numbers = key, np.asarray(numbers)
        self.dtype = dtype or self.numbers.dtype.name
        self.count = self.numbers.size if count is None else count


class _Pickler(pickle._Pickler):
    """Writes tensors as PyTorch does, other objects as usual."""

    def save(self, obj, *args, **keywords):
        if isinstance(obj, Global):
            self.write(f"c{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Call):
            self.save(obj.function)
            self.save(tuple(obj.arguments))
            self.write(b"R")
        elif isinstance(obj, Storage):
            self.save(
                (
                    "storage",
                    Global("torch", _STORAGES[obj.dtype]),
                    obj.key,
                    "cpu",
                    obj.count,
                    *([None] if self.legacy else []),
                )
            )
            self.write(b"Q")
        elif isinstance(obj, Tensor):
            rest = () if obj.old else (False, {})
            name = "_rebuild_tensor" + ("" if obj.old else "_v2")
            self.save(
                Call(
                    Global("torch._utils", name),
                    obj.storage,
                    obj.offset,
                    obj.shape,
                    obj.strides,
                    *rest,
                )
            )
        else:
            super().save(obj, *args, **keywords)


def dump(value, *, legacy=False):
    """Returns the pickle of a value."""
    file = io.BytesIO()
    pickler = _Pickler(file, protocol=2)
    pickler.legacy = legacy
    pickler.dump(value)
    return file.getvalue()


def list_storages(value):
    """Lists the storages of the tensors in dicts and calls."""
    found = {}
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, Tensor):
            found[each.storage.key] = each.storage
        elif isinstance(each, dict):
            pending += each.values()
        elif isinstance(each, Call):
            pending += each.arguments
    return list(found.values())


def write_zip(path, value, *, compression=zipfile.ZIP_STORED, order=b"little"):
    """Writes a file as `torch.save` does since PyTorch 1.6."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", dump(value))
        archive.writestr("archive/byteorder", order)
        for each in list_storages(value):
            archive.writestr(f"archive/data/{each.key}", each.numbers.tobytes())
        archive.writestr("archive/version", b"3\n")
    return path


def write_legacy(path, value, *, little=True):
    """Writes a file as `torch.save` did before PyTorch 1.6."""
    storages = list_storages(value)
    system = {"protocol_version": 1001, "little_endian": little}
    parts = [
        pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2),
        pickle.dumps(1001, protocol=2),
        pickle.dumps(system, protocol=2),
        dump(value, legacy=True),
        pickle.dumps([each.key for each in storages], protocol=2),
    ]
    for each in storages:
        parts += [struct.pack("<q", each.count), each.numbers.tobytes()]
    path.write_bytes(b"".join(parts))
    return path


def write_safetensors(path, arrays, *, header=None):
    """Writes a safetensors file; entries of `header` replace the right ones."""
    entries, body = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        content = array.tobytes()
        entries[name] = {
            "dtype": _SAFETENSORS[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + len(content)],
        }
        body += content
    entries.update(header or {})
    start = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(start)) + start + body)
    return path


def make_tensors(arrays):
    """Turns arrays into tensors with a storage each."""
    return {
        name: Tensor(Storage(str(number), array), array.shape)
        for number, (name, array) in enumerate(arrays.items())
    }


def write_state_dict(path: pathlib.Path, arrays):
    """Writes arrays as a .pth, zip or safetensors by the suffix."""
    if path.suffix == ".safetensors":
        return write_safetensors(path, arrays)
    return write_zip(path, make_tensors(arrays))
