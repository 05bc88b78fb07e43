"""What somebody else left in a cache: computed again, never the end."""

import fcntl
import io
import os
import pickle
import struct

import numpy as np
import pytest

from tf_finetune.feature_cache import entries
from tf_finetune.feature_cache import store as stores

_NAMES = [f"{number:064x}" for number in range(4)]
_ROWS = np.arange(12, dtype="float32").reshape(4, 3)


class _Trap:
    def __reduce__(self):
        return os.system, ("touch CODE_RAN",)


def _header(shape, dtype="<f4"):
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape})
    head = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head


def _array(value):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(value))
    return file.getvalue()


def _names():
    return _array(np.array(_NAMES, "S64"))


_CONTENTS = {
    "empty": b"",
    "no shard": b"hello",
    "names of terabytes": _header((2**40,), "|S64"),
    "rows of terabytes": _names() + _array(np.uint32(0)) + _header((2**40, 3)),
    "rows that are missing": _names() + _array(np.uint32(0)) + _header((4, 3)),
    "names of numbers": _header((2**40,)),
    "names in a square": _header((2, 2), "|S64") + bytes(256),
    "long checksum": _names() + _header((2**40,), "<u4"),
    "objects": _header((1,), "|O") + pickle.dumps(_Trap()),
    "objects as rows": _names() + _array(np.uint32(0))
    + _header((4, 3), "|O") + pickle.dumps(_Trap()),
    "a lying header": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
}  # fmt: skip


@pytest.fixture
def shard(tmp_path):
    """The only shard of a store."""
    folder = tmp_path / "entry"
    store = stores.Store(folder, width=3, dtype="float32")
    store.put(_NAMES, _ROWS)
    (path,) = folder.glob("*.rows")
    return path


def _is_computed_again(shard, caplog):
    caplog.clear()
    store = stores.Store(shard.parent, width=3, dtype="float32")
    assert store.missing(_NAMES) == _NAMES
    assert len(caplog.records) == 1
    assert "computed again" in caplog.text
    store.put(_NAMES, _ROWS)
    again = stores.Store(shard.parent, width=3, dtype="float32")
    np.testing.assert_array_equal(again.rows(_NAMES).all(), _ROWS)


@pytest.mark.parametrize("name", _CONTENTS)
def test_a_shard_of_anything_is_computed_again(
    shard, caplog, tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    shard.write_bytes(_CONTENTS[name])
    _is_computed_again(shard, caplog)
    assert not shard.exists()
    assert not (tmp_path / "CODE_RAN").exists()


@pytest.mark.parametrize(
    "kind", ["pipe", "folder", "full folder", "device", "link", "loop"]
)
def test_what_is_no_file_is_computed_again(shard, caplog, tmp_path, kind):
    outside = tmp_path / "outside"
    shard.rename(outside)
    before = outside.read_bytes()
    if kind == "full folder":
        (shard / "inside").mkdir(parents=True)
    {
        "pipe": lambda: os.mkfifo(shard),
        "folder": shard.mkdir,
        "full folder": lambda: None,
        "device": lambda: shard.symlink_to("/dev/zero"),
        "link": lambda: shard.symlink_to(outside),
        "loop": lambda: shard.symlink_to(shard),
    }[kind]()
    _is_computed_again(shard, caplog)
    assert outside.read_bytes() == before
    # Somebody's folder with something in it is left to them.
    assert os.path.lexists(shard) == (kind == "full folder")


@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "file"])
@pytest.mark.parametrize("name", ["", "about.json", ".lock"])
def test_an_entry_is_held_whatever_lies_in_its_place(tmp_path, name, kind):
    entry = tmp_path / "cache" / "features" / "key"
    outside = tmp_path / "outside"
    outside.write_text("kept")
    path = entry / name
    path.parent.mkdir(parents=True)
    {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(outside),
        "file": lambda: path.write_text("junk"),
    }[kind]()
    with entries.hold_entry(
        tmp_path / "cache", "features/key", what="w"
    ) as folder:
        assert (folder / "about.json").is_file()
        (found,) = entries.list_entries(tmp_path / "cache")
        assert found.what == "w"
        with open(folder / ".lock") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert outside.read_text() == "kept"
    assert entries.remove(found)


def test_a_description_is_shown_in_one_line(tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "about.json").write_text('{"what": "a\\u001b[31m\\nb"}')
    table = entries.format_table(entries.list_entries(tmp_path))
    assert "\x1b" not in table and len(table.splitlines()) == 3
