"""Tests of tf_finetune/training/feature_store.py."""

import numpy as np

from tf_finetune.training import feature_store

_HASHES = [f"{number:064x}" for number in range(6)]
_ROWS = np.arange(18, dtype="float32").reshape(6, 3)


def _filled(folder) -> feature_store.Store:
    store = feature_store.Store(folder, width=3)
    store.put(_HASHES[:4], _ROWS[:4])
    store.put(_HASHES[4:5], _ROWS[4:5])
    return store


def test_rows_come_back_in_the_order_asked_for_repeated_ones_too(tmp_path):
    _filled(tmp_path)
    asked = [_HASHES[4], _HASHES[0], _HASHES[5], _HASHES[0]]
    rows, known = feature_store.Store(tmp_path, width=3).get(asked)
    np.testing.assert_array_equal(known, [True, True, False, True])
    np.testing.assert_array_equal(rows[[0, 1, 3]], _ROWS[[4, 0, 0]])


def test_an_absent_folder_knows_nothing(tmp_path):
    _, known = feature_store.Store(tmp_path / "no", width=3).get(_HASHES)
    assert not known.any()


def test_a_flipped_byte_is_noticed_and_only_that_shard_is_lost(tmp_path):
    store = _filled(tmp_path)
    large = max(tmp_path.glob("*.npz"), key=lambda path: path.stat().st_size)
    data = bytearray(large.read_bytes())
    place = data.index(_ROWS[2].tobytes())
    data[place] ^= 1
    large.write_bytes(data)
    _, known = store.get(_HASHES[:5])
    np.testing.assert_array_equal(known, [False] * 4 + [True])
    assert not large.exists()


def test_foreign_and_torn_files_and_other_widths_are_not_used(tmp_path):
    store = _filled(tmp_path)
    (tmp_path / "a.npz").write_bytes(b"not a zip file")
    np.savez(tmp_path / "b.npz", other=np.zeros(3))
    whole = next(iter(tmp_path.glob("*.npz"))).read_bytes()
    (tmp_path / "c.npz").write_bytes(whole[: len(whole) // 2])
    feature_store.Store(tmp_path, width=7).put(
        _HASHES[5:], np.ones([1, 7], "float32")
    )
    rows, known = store.get(_HASHES)
    np.testing.assert_array_equal(known, [True] * 5 + [False])
    np.testing.assert_array_equal(rows[:5], _ROWS[:5])


def test_two_writers_do_not_lose_each_others_rows(tmp_path):
    one = feature_store.Store(tmp_path, width=3)
    two = feature_store.Store(tmp_path, width=3)
    one.put(_HASHES[:3], _ROWS[:3])
    two.put(_HASHES[2:], _ROWS[2:])
    rows, known = one.get(_HASHES)
    assert known.all()
    np.testing.assert_array_equal(rows, _ROWS)
