"""Tests of tf_finetune/training/resuming/state_file.py."""

import errno
import pathlib
import subprocess

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.training.resuming import state_file

_ARRAYS = [
    np.arange(6, dtype="float32").reshape(2, 3).T,
    np.array(7, dtype="int64"),
    np.zeros([0, 4], "float32"),
    np.array([np.nan, -0.0], "float32"),
]


def test_what_is_read_is_what_was_written_bit_by_bit(tmp_path):
    path = tmp_path / "file"
    state_file.write(path, {"a": [1, None, "ü"]}, _ARRAYS)
    content = state_file.read(path)
    assert content.note == {"a": [1, None, "ü"]}
    for ours, theirs in zip(content.arrays, _ARRAYS, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        assert ours.tobytes() == theirs.tobytes()


def test_every_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "file"
    state_file.write(path, {}, [np.arange(3.0)])
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(state_file.DamagedError):
            state_file.read(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_every_truncation_is_noticed(tmp_path, share):
    path = tmp_path / "file"
    state_file.write(path, {}, [np.arange(1000.0)])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(state_file.DamagedError):
        state_file.read(path)


def test_something_appended_is_noticed(tmp_path):
    path = tmp_path / "file"
    state_file.write(path, {}, [])
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(state_file.DamagedError):
        state_file.read(path)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 256 KiB, of the kernel's own; needs the right to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no mount here")
    if done.returncode:
        pytest.skip("a disk may not be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _assert_refused(path: pathlib.Path) -> None:
    state_file.write(path, {"number": 1}, [np.zeros(20_000, "float32")])
    large = np.zeros(100_000, "float32")
    with pytest.raises(errors.RunError, match="No space left.*same command"):
        state_file.write(path, {"number": 2}, [large])
    assert state_file.read(path).note == {"number": 1}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_full_disk_is_one_sentence_and_the_older_file_stays(small_disk):
    _assert_refused(small_disk / "file")


def test_a_write_that_fails_is_one_sentence_and_the_older_file_stays(
    tmp_path, monkeypatch
):
    # What a full disk does, for machines on which none can be mounted.
    write = state_file._Hashing.write

    def full(self, data):
        if len(data) > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(state_file._Hashing, "write", full)
    _assert_refused(tmp_path / "file")
