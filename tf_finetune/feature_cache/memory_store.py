"""Store of rows by name in memory, for runs that keep nothing on disk."""

from collections.abc import Iterable, Sequence

import numpy as np


class MemoryStore:
    """Rows by name in memory; `fill.fill_stores` writes to it as to a `Store`.

    Attributes:
        row_bytes: Size of one row, in bytes.
    """

    def __init__(self, *, width: int) -> None:
        """Starts empty.

        Args:
            width: Numbers in a row, float32.
        """
        self._width = width
        self._rows: dict[str, np.ndarray] = {}
        self.row_bytes = width * np.dtype("float32").itemsize

    def missing(self, names: Iterable[str]) -> list[str]:
        """Returns the names that have no row, each once, in their order."""
        return [name for name in dict.fromkeys(names) if name not in self._rows]

    def put(self, names: Sequence[str], rows: np.ndarray) -> None:
        """Stores rows [n, width] by their n names; known names stay."""
        for name, row in zip(names, np.asarray(rows, "float32"), strict=True):
            self._rows.setdefault(name, row)

    def rows(self, names: Sequence[str]) -> "MemoryRows":
        """Returns rows in the order of `names`.

        Raises:
            KeyError: A name has no row.
        """
        found = np.empty([len(names), self._width], "float32")
        for place, name in enumerate(names):
            found[place] = self._rows[name]
        return MemoryRows(found)


class MemoryRows:
    """Rows of a `MemoryStore` in a chosen order.

    Attributes:
        width: Numbers in a row.
    """

    def __init__(self, values: np.ndarray) -> None:
        """Takes the rows, [n, width]."""
        self._values = values
        self.width = values.shape[1]

    def __len__(self) -> int:
        return len(self._values)

    def all(self) -> np.ndarray:
        """Returns all rows, [n, width] float32."""
        return self._values
