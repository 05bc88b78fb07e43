"""Tests of tf_finetune/feature_cache/entries.py."""

import os

import pytest

from tf_finetune import errors
from tf_finetune.feature_cache import entries


def _make(cache, name: str, size: int, used: float) -> None:
    with entries.hold_entry(cache, name, what=f"what {name}") as folder:
        (folder / "a.rows").write_bytes(bytes(size))
    for path in [*folder.iterdir(), folder]:
        os.utime(path, (used, used))


@pytest.fixture
def cache(tmp_path):
    _make(tmp_path, "features/new", 3000, used=1.4e9)
    _make(tmp_path, "features/old", 5000, used=1e9)
    _make(tmp_path, "features/middle", 4000, used=1.2e9)
    (tmp_path / "verdicts").mkdir()
    (tmp_path / "verdicts" / "v.json").write_bytes(bytes(100))
    os.utime(tmp_path / "verdicts" / "v.json", (1.1e9, 1.1e9))
    return tmp_path


def _names(cache) -> list[str]:
    return [entry.name for entry in entries.list_entries(cache)]


def test_the_longest_unused_comes_first_with_its_size(cache):
    assert _names(cache) == [
        "features/old",
        "verdicts",
        "features/middle",
        "features/new",
    ]
    old, verdicts = entries.list_entries(cache)[:2]
    assert 5000 <= old.size_bytes < 5200 and verdicts.size_bytes == 100
    assert old.what == "what features/old"
    assert verdicts.what == "which pictures can be decoded"
    assert entries.list_entries(cache / "no such folder") == []


def test_the_longest_unused_features_make_room_and_nothing_else(cache):
    assert entries.evict_features(cache, 2000, limit_bytes=10_000)
    assert _names(cache) == ["verdicts", "features/middle", "features/new"]
    assert entries.evict_features(cache, 100, limit_bytes=10_000)
    assert len(_names(cache)) == 3


def test_use_saves_from_eviction(cache):
    with entries.hold_entry(cache, "features/old", what="again"):
        pass
    assert entries.evict_features(cache, 2000, limit_bytes=11_000)
    assert "features/old" in _names(cache)
    assert "features/middle" not in _names(cache)


def test_what_a_process_holds_is_neither_evicted_nor_cleared(cache):
    with entries.hold_entry(cache, "features/old", what="held"):
        assert not entries.evict_features(cache, 9000, limit_bytes=10_000)
        assert [e.name for e in entries.list_entries(cache)] == [
            "verdicts",
            "features/old",
        ]
        assert not entries.remove(entries.list_entries(cache)[1])
    assert entries.remove(entries.list_entries(cache)[1])
    assert _names(cache) == ["verdicts"]


def test_what_can_never_fit_removes_nothing(cache):
    assert not entries.evict_features(cache, 20_000, limit_bytes=10_000)
    assert not entries.evict_features(cache, 10**18, limit_bytes=1e19)
    assert len(_names(cache)) == 4


def test_a_cache_that_cannot_be_written_is_an_error_for_people(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(errors.RunError, match="--cache_dir"),
        entries.hold_entry(tmp_path / "file", "features/x", what=""),
    ):
        pass


def test_the_table_names_every_entry_and_the_sum(cache):
    text = entries.format_table(entries.list_entries(cache))
    assert all(name in text for name in _names(cache))
    total = sum(entry.size_bytes for entry in entries.list_entries(cache))
    assert entries.format_size(total) in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (75264, "75.3 kB"), (2.5e9, "2.5 GB")],
)
def test_sizes_are_decimal(count, text):
    assert entries.format_size(count) == text
