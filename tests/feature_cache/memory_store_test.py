"""Rows in memory, for runs that keep nothing on disk."""

import numpy as np
import pytest

from tf_finetune.feature_cache import memory_store


def test_rows_come_back_by_name_and_are_kept_once():
    store = memory_store.MemoryStore(width=2)
    assert store.missing(["b", "a", "b"]) == ["b", "a"]
    store.put(["a", "b"], np.array([[1, 2], [3, 4]]))
    store.put(["a"], np.array([[9, 9]]))
    assert store.missing(["a", "c"]) == ["c"]
    rows = store.rows(["b", "a", "b"])
    assert (len(rows), rows.width, store.row_bytes) == (3, 2, 8)
    np.testing.assert_array_equal(rows.all(), [[3, 4], [1, 2], [3, 4]])


def test_an_unknown_name_is_an_error():
    with pytest.raises(KeyError):
        memory_store.MemoryStore(width=2).rows(["a"])
