"""Tests of tf_finetune/feature_cache/store.py."""

import numpy as np
import pytest

from tf_finetune.feature_cache import store as stores

_NAMES = [f"{number:064x}" for number in range(6)]
_ROWS = np.arange(18, dtype="float32").reshape(6, 3)


def _open(folder, width=3, dtype="float32") -> stores.Store:
    return stores.Store(folder, width=width, dtype=dtype)


def _filled(folder) -> stores.Store:
    store = _open(folder)
    store.put(_NAMES[:4], _ROWS[:4])
    store.put(_NAMES[4:5], _ROWS[4:5])
    return store


def test_rows_come_back_in_the_order_asked_for_repeated_ones_too(tmp_path):
    _filled(tmp_path)
    rows = _open(tmp_path).rows([_NAMES[4], _NAMES[0], _NAMES[3], _NAMES[0]])
    np.testing.assert_array_equal(rows.all(), _ROWS[[4, 0, 3, 0]])
    np.testing.assert_array_equal(rows.take(np.array([2, 0])), _ROWS[[3, 4]])
    np.testing.assert_array_equal(
        rows.select(np.array([1, 2])).all(), _ROWS[[0, 3]]
    )
    np.testing.assert_array_equal(
        np.concatenate([*rows.iterate_blocks()]), rows.all()
    )


def test_blocks_hold_the_rows_in_order_whatever_their_size(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(stores, "_BLOCK_BYTES", 2 * 3 * 4)
    blocks = [*_filled(tmp_path).rows(_NAMES[:5]).iterate_blocks()]
    assert [len(block) for block in blocks] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(blocks), _ROWS[:5])


def test_missing_are_named_once_in_their_order(tmp_path):
    store = _filled(tmp_path)
    asked = [_NAMES[5], _NAMES[0], _NAMES[5]]
    assert store.missing(asked) == [_NAMES[5]]
    assert _open(tmp_path / "no").missing(_NAMES) == _NAMES


def test_a_row_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(KeyError, match=_NAMES[5]):
        _filled(tmp_path).rows([_NAMES[0], _NAMES[5]])


def test_rows_of_two_stores_follow_each_other(tmp_path):
    half = _open(tmp_path / "half", dtype="float16")
    half.put(_NAMES[:2], _ROWS[:2] + 100)
    both = (
        _filled(tmp_path)
        .rows(_NAMES[3:5])
        .append_rows(half.rows([_NAMES[1], _NAMES[0]]))
    )
    assert len(both) == 4 and both.dtype == np.float32
    np.testing.assert_array_equal(
        both.take(np.array([2, 0, 3])),
        [_ROWS[1] + 100, _ROWS[3], _ROWS[0] + 100],
    )


@pytest.mark.parametrize("place", ["name", "row", "checksum"])
def test_a_flipped_byte_is_noticed_and_only_that_shard_is_lost(tmp_path, place):
    _filled(tmp_path)
    large = max(tmp_path.glob("*.rows"), key=lambda path: path.stat().st_size)
    data = bytearray(large.read_bytes())
    found = {
        "name": data.index(_NAMES[1].encode()),
        "row": data.index(_ROWS[2].tobytes()),
        "checksum": data.index(b"\x93NUMPY", 200) + 128,
    }
    data[found[place]] ^= 1
    large.write_bytes(data)
    assert _open(tmp_path).missing(_NAMES[:5]) == _NAMES[:4]
    assert not large.exists()


def test_foreign_and_torn_files_and_other_widths_are_not_used(tmp_path):
    _filled(tmp_path)
    whole = max(tmp_path.glob("*.rows"), key=lambda path: path.stat().st_size)
    torn = whole.read_bytes()
    (tmp_path / "a.rows").write_bytes(b"no rows")
    (tmp_path / "b.rows").write_bytes(b"")
    for number, size in enumerate((100, 500, len(torn) - 1)):
        (tmp_path / f"c{number}.rows").write_bytes(torn[:size])
    np.save(tmp_path / "d.npy", np.zeros(3))
    (tmp_path / "d.npy").rename(tmp_path / "d.rows")
    wide = _open(tmp_path / "wide", width=7)
    wide.put(_NAMES[5:], np.ones([1, 7]))
    for path in (tmp_path / "wide").iterdir():
        path.rename(tmp_path / path.name)
    store = _open(tmp_path)
    assert store.missing(_NAMES) == _NAMES[5:]
    np.testing.assert_array_equal(store.rows(_NAMES[:5]).all(), _ROWS[:5])
    assert len([*tmp_path.glob("*.rows")]) == 2


def test_float16_is_half_the_size_and_rounds(tmp_path):
    store = _open(tmp_path, dtype="float16")
    store.put(_NAMES[:1], np.array([[1.0, 1 / 3, 1000.25]]))
    assert store.row_bytes == 6
    expected = np.array([[1.0, 1 / 3, 1000.25]]).astype("float16")
    found = store.rows(_NAMES[:1])
    assert found.take(np.array([0])).dtype == np.float16
    np.testing.assert_array_equal(found.all(), expected.astype("float32"))


def test_two_writers_do_not_lose_each_others_rows(tmp_path):
    one, two = _open(tmp_path), _open(tmp_path)
    one.put(_NAMES[:3], _ROWS[:3])
    two.put(_NAMES[2:], _ROWS[2:])
    found = _open(tmp_path)
    assert not found.missing(_NAMES)
    np.testing.assert_array_equal(found.rows(_NAMES).all(), _ROWS)


def test_moments_are_means_and_variances_of_columns(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "_BLOCK_BYTES", 2 * 4 * 4)
    values = np.random.default_rng(0).normal(3, 2, [50, 4]).astype("float32")
    names = [f"{number:064x}" for number in range(50)]
    store = _open(tmp_path, width=4)
    store.put(names, values)
    mean, variance = store.rows(names).compute_moments()
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(variance, values.var(axis=0), rtol=1e-5)
