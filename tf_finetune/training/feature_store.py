"""One feature vector per picture content, kept on disk between runs."""

import pathlib
import secrets
import zipfile
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from absl import logging

from tf_finetune import files


class Store:
    """Append-only shards of (content hash, feature vector).

    A shard is written whole under a name of its own, so several processes may
    write at once and a killed one leaves whole shards; each carries a
    checksum, and one that is damaged or foreign is removed and its rows are
    computed again.
    """

    def __init__(self, folder: pathlib.Path, *, width: int) -> None:
        """Opens the store; nothing is written yet.

        Args:
            folder: Of the shards; need not exist.
            width: Numbers in a feature vector.
        """
        self._folder = pathlib.Path(folder)
        self._width = width

    def get(self, hashes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Looks rows up by content.

        Args:
            hashes: n content hashes, repeated ones allowed.

        Returns:
            Rows [n, width] float32, zeros where unknown; [n] booleans that
            say which are known.
        """
        rows = np.zeros([len(hashes), self._width], "float32")
        known = np.zeros(len(hashes), bool)
        places: dict[str, list[int]] = {}
        for place, each in enumerate(hashes):
            places.setdefault(each, []).append(place)
        for names, vectors in self._shards():
            for index, name in enumerate(names):
                for place in places.get(name, ()):
                    rows[place] = vectors[index]
                    known[place] = True
        return rows, known

    def put(self, hashes: Sequence[str], rows: np.ndarray) -> None:
        """Adds rows as one shard.

        Args:
            hashes: n content hashes.
            rows: [n, width] float32.
        """
        path = self._folder / f"{secrets.token_hex(8)}.npz"
        vectors = np.ascontiguousarray(rows, "float32")
        names = np.array(hashes, "U64")
        with files.replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(
                file,
                hashes=names,
                rows=vectors,
                checksum=np.uint32(_checksum(names, vectors)),
            )

    def _shards(self) -> Iterator[tuple[list[str], np.ndarray]]:
        for path in sorted(self._folder.glob("*.npz")):
            try:
                with np.load(path, allow_pickle=False) as saved:
                    names, rows = saved["hashes"], saved["rows"]
                    checksum = int(saved["checksum"])
            except FileNotFoundError:
                continue
            except (KeyError, ValueError, OSError, EOFError,
                    zipfile.BadZipFile, zlib.error):  # fmt: skip
                names, rows, checksum = None, None, None
            if self._intact(names, rows, checksum):
                yield names.tolist(), rows
            else:
                logging.warning(
                    "features in %s are damaged or foreign; computed again",
                    path,
                )
                path.unlink(missing_ok=True)

    def _intact(
        self,
        names: np.ndarray | None,
        rows: np.ndarray | None,
        checksum: int | None,
    ) -> bool:
        if names is None or rows.shape != (len(names), self._width):
            return False
        return _checksum(names, rows) == checksum


def _checksum(names: np.ndarray, rows: np.ndarray) -> int:
    return zlib.crc32(rows.tobytes(), zlib.crc32(names.tobytes()))
