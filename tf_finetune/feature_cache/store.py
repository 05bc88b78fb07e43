"""Store of rows by name: sharded on disk, checksummed, memory-mapped."""

import dataclasses
import math
import os
import pathlib
import secrets
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
from absl import logging

from tf_finetune import files
from tf_finetune.feature_cache import entries

_NAME = "S64"  # A SHA-256 in hexadecimal digits.
# Read at a time, for checksums and `Rows.iterate_blocks`.
_BLOCK_BYTES = 4 << 20


@dataclasses.dataclass(frozen=True)
class _Shard:
    """Shard file: names, checksum and rows, each in NumPy's format.

    Attributes:
        path: The file.
        offset: Position of its rows in the file, bytes.
        shape: Shape of its rows.
        dtype: Dtype of its rows.
    """

    path: pathlib.Path
    offset: int
    shape: tuple[int, int]
    dtype: np.dtype

    def map_rows(self) -> np.ndarray:
        """Maps the rows into memory; dropping the map frees it."""
        return np.memmap(
            self.path, self.dtype, "r", offset=self.offset, shape=self.shape
        )


class Store:
    """Append-only store of rows by name, in shard files of one folder.

    A shard is written whole under a name of its own, so several processes may
    write at once and a killed one leaves whole shards. Each has a checksum; one
    that is damaged or foreign is removed when the store is opened, and its rows
    are missing again.

    Args:
        folder: Folder of the shards; need not exist.
        width: Numbers in a row.
        dtype: Dtype of the rows, "float32" or "float16".
    """

    def __init__(self, folder: pathlib.Path, *, width: int, dtype: str) -> None:
        """Opens and verifies the existing shards; writes nothing yet."""
        self._folder = pathlib.Path(folder)
        self._width = width
        self._dtype = np.dtype(dtype)
        self._shards: list[_Shard] = []
        # Sorted names, and for each (shard, row in the shard).
        self._names = np.empty([0], _NAME)
        self._places = np.empty([0, 2], np.int32)
        for path in sorted(self._folder.glob("*.rows")):
            self._add(path)

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the rows."""
        return self._dtype

    @property
    def row_bytes(self) -> int:
        """Size of one row on disk, in bytes."""
        return self._width * self._dtype.itemsize

    def missing(self, names: Iterable[str]) -> list[str]:
        """Returns the names that have no row, each once, in their order."""
        names = list(dict.fromkeys(names))
        known = self._find(names) >= 0
        return [name for name, there in zip(names, known, strict=True)
                if not there]  # fmt: skip

    def put(self, names: Sequence[str], rows: np.ndarray) -> None:
        """Writes rows as one new shard.

        Args:
            names: n names, hexadecimal SHA-256; rows of known names have no
                effect.
            rows: [n, width]; converted to the store's dtype.
        """
        path = self._folder / f"{secrets.token_hex(8)}.rows"
        rows = np.ascontiguousarray(rows, self._dtype)
        array = np.array(names, _NAME)
        checksum = np.uint32(_compute_checksum(array, rows))
        with files.replacing(path) as temporary, open(temporary, "wb") as file:
            for part in (array, checksum, rows):
                np.lib.format.write_array(file, np.asarray(part))
        self._add(path)

    def rows(self, names: Sequence[str]) -> "Rows":
        """Returns rows in the order of `names`, read from disk on demand.

        Raises:
            KeyError: A name has no row.
        """
        found = self._find(names)
        if len(found) and found.min() < 0:
            raise KeyError(names[int(found.argmin())])
        return Rows(self._shards, self._places[found], self._width, self._dtype)

    def _find(self, names: Sequence[str]) -> np.ndarray:
        """Returns the position of each name, -1 where there is none."""
        wanted = np.array(names, _NAME)
        if not len(self._names):
            return np.full(len(wanted), -1)
        place = np.searchsorted(self._names, wanted)
        # A name behind the last one compares with the last, and differs.
        place = np.minimum(place, len(self._names) - 1)
        return np.where(self._names[place] == wanted, place, -1)

    def _add(self, path: pathlib.Path) -> None:
        try:
            shard, names = _open_shard(path, self._width, self._dtype)
        except FileNotFoundError:
            return  # Another process found it damaged and removed it.
        except (ValueError, OSError, EOFError, MemoryError) as error:
            logging.warning(
                "%s in the cache is damaged or foreign (%s); its rows are "
                "computed again",
                path,
                str(error).removeprefix(f"{path} ").removesuffix("."),
            )
            entries.discard_path(path)
            return
        names, first = np.unique(names, return_index=True)
        # Two processes may have computed the same rows: the first shard counts.
        is_new = self._find(names) < 0
        names, first = names[is_new], first[is_new]
        places = np.empty([len(names), 2], np.int32)
        places[:, 0] = len(self._shards)
        places[:, 1] = first
        self._shards.append(shard)
        # Inserted in place, so that the names stay sorted.
        before = np.searchsorted(self._names, names)
        self._names = np.insert(self._names, before, names)
        self._places = np.insert(self._places, before, places, axis=0)


class Rows:
    """Rows of a store in a chosen order, read from disk on demand.

    Attributes:
        width: Numbers in a row.
        dtype: Dtype of the rows on disk.
    """

    def __init__(
        self,
        shards: list[_Shard],
        places: np.ndarray,
        width: int,
        dtype: np.dtype,
    ) -> None:
        """Takes rows by `places` [n, 2]: index of the shard, and of its row."""
        self._shards = list(shards)
        self._places = places
        self.width = width
        self.dtype = dtype

    def __len__(self) -> int:
        return len(self._places)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Reads rows by indices [n], or by one boolean per row.

        Returns:
            [n, width] in the dtype on disk, a new array.
        """
        places = self._places[indices]
        found = np.empty([len(places), self.width], self.dtype)
        for shard in np.unique(places[:, 0]):
            here = places[:, 0] == shard
            # Mapped anew each time: pages that stay mapped count as memory
            # of this process although the system could reclaim them.
            found[here] = self._shards[shard].map_rows()[places[here, 1]]
        return found

    def iterate_blocks(self) -> Iterator[np.ndarray]:
        """Yields all rows in order, float32 [n, width], some MiB at a time."""
        # Blocks are float32, 4 bytes a number.
        size = max(_BLOCK_BYTES // (4 * self.width), 1)
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            yield self.take(np.arange(start, stop)).astype(
                "float32", copy=False
            )

    def compute_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Computes the mean and variance of each column over all rows.

        Returns:
            Both [width] float64; the variance is divided by the number of rows.
        """
        total, squares = 0.0, 0.0
        for block in self.iterate_blocks():
            total = total + block.sum(axis=0, dtype="float64")
        mean = total / len(self)
        # A second pass, because E[x²] - E[x]² loses digits to cancellation.
        for block in self.iterate_blocks():
            squares = squares + ((block - mean) ** 2).sum(axis=0)
        return mean, squares / len(self)

    def select(self, indices: np.ndarray) -> "Rows":
        """Selects rows by indices or one boolean per row; reads none."""
        places = self._places[indices]
        return Rows(self._shards, places, self.width, self.dtype)

    def append_rows(self, other: "Rows") -> "Rows":
        """Returns these rows and then those of `other`, without reading them.

        Rows of two dtypes are read in the wider one.
        """
        # Its shards are numbered after these.
        places = other._places + [len(self._shards), 0]
        return Rows(
            [*self._shards, *other._shards],
            np.concatenate([self._places, places]),
            self.width,
            np.promote_types(self.dtype, other.dtype),
        )

    def all(self) -> np.ndarray:
        """Reads all rows into memory, [n, width] float32."""
        return self.take(np.arange(len(self))).astype("float32", copy=False)


def _open_shard(
    path: pathlib.Path, width: int, dtype: np.dtype
) -> tuple[_Shard, np.ndarray]:
    """Verifies a shard; returns it with its names, or raises ValueError."""
    with files.open_regular(path, within=path.parent) as file:
        size = os.fstat(file.fileno()).st_size
        names = _read_array(file, size, np.dtype(_NAME))
        checksum = _read_array(file, size, np.dtype("uint32"))
        header = _read_header(file)
        offset = file.tell()
    # False: in C order, row by row.
    if header != ((len(names), width), False, dtype):
        raise ValueError(f"rows are {header}")
    # A truncated file, which could not be mapped.
    if offset + len(names) * width * dtype.itemsize > size:
        raise ValueError("its last rows are missing")
    shard = _Shard(path, offset, header[0], dtype)
    if _compute_checksum(names, shard.map_rows()) != checksum:
        raise ValueError("its checksum does not match its content")
    return shard, names.astype(_NAME)


def _read_array(file: BinaryIO, size: int, dtype: np.dtype) -> np.ndarray:
    """Reads names or a checksum, no more of them than the file can hold."""
    start = file.tell()
    shape, _, found = _read_header(file)
    if found != dtype or len(shape) > 1:
        raise ValueError(f"expected {dtype}, got {found} {shape}")
    if math.prod(shape) * found.itemsize > size:
        raise ValueError(f"it declares {math.prod(shape):,} names")
    # `read_array` reads the header once more.
    file.seek(start)
    # A pickle in a foreign file would run its code.
    return np.lib.format.read_array(file, allow_pickle=False)


def _read_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    # NumPy writes version 1.0 where a header has less than 64 KiB.
    if version != (1, 0):
        raise ValueError(f"format {version}")
    return np.lib.format.read_array_header_1_0(file)


def _compute_checksum(names: np.ndarray, rows: np.ndarray) -> int:
    result = zlib.crc32(names.tobytes())
    # In blocks: a memory map of a large shard is not read at once.
    step = max(_BLOCK_BYTES // max(rows.shape[1] * rows.itemsize, 1), 1)
    for start in range(0, len(rows), step):
        result = zlib.crc32(rows[start : start + step], result)
    return result
