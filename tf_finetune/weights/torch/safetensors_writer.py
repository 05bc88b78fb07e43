"""Writer of safetensors files.

Source: github.com/huggingface/safetensors, "Format".
"""

import json
import pathlib
import struct
from collections.abc import Mapping

import numpy as np

_TYPES = {"float32": "F32", "int64": "I64"}
# The numbers begin at a multiple of this, so that they can be memory-mapped.
_ALIGNMENT = 8


def write_file(
    path: pathlib.Path,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str],
) -> None:
    """Writes arrays to a safetensors file, in the order of their names.

    Equal arrays and metadata give equal bytes.

    Args:
        path: File to write; an existing one is replaced.
        arrays: float32 or int64 arrays by name.
        metadata: Texts by name for the file's "__metadata__".

    Raises:
        KeyError: An array has another dtype.
        OSError: The file cannot be written.
    """
    # Larger elements first, as the format's own library writes them: every
    # tensor is then aligned to its element size.
    names = sorted(arrays, key=lambda n: (-arrays[n].dtype.itemsize, n))
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": _TYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    # uint64 length of the header, JSON header filled up with spaces, numbers.
    text += b" " * (-len(text) % _ALIGNMENT)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            little = arrays[name].dtype.newbyteorder("<")
            file.write(np.ascontiguousarray(arrays[name], little).tobytes())
