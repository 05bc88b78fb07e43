"""Masks as Pillow does not write them."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest


def _chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


@pytest.fixture
def few_bits() -> Callable[[np.ndarray, int], bytes]:
    """Makes a gray PNG of less than eight bits a pixel."""

    def made(values: np.ndarray, depth: int) -> bytes:
        height, width = values.shape
        bits = np.unpackbits(values[..., None], axis=-1)[..., -depth:]
        rows = np.packbits(bits.reshape(height, -1), axis=1)
        data = b"".join(b"\0" + row.tobytes() for row in rows)
        header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + _chunk(b"IHDR", header)
            + _chunk(b"IDAT", zlib.compress(data))
            + _chunk(b"IEND", b"")
        )

    return made
