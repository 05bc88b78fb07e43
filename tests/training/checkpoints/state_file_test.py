"""Tests of tf_finetune/training/checkpoints/state_file.py."""

import errno
import hashlib
import io
import os
import pathlib
import pickle
import subprocess

import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.training.checkpoints import state_file

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
    write = state_file._HashingFile.write

    def full(self, data):
        if len(data) > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(state_file._HashingFile, "write", full)
    _assert_refused(tmp_path / "file")


def _signed(path, content: bytes) -> None:
    """Writes what somebody who knows the format could make."""
    digest = hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(digest + content)


def _array(header: dict, data: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


def _note(text: bytes) -> bytes:
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(text),)}
    return _array(header, text)


def _crafted():
    huge = {"descr": "<f8", "fortran_order": False, "shape": (2**39,)}
    objects = {"descr": "|O", "fortran_order": False, "shape": (1,)}
    texts = {"descr": "<U4", "fortran_order": False, "shape": (1,)}
    one = _note(b'{"arrays": 1}')
    yield from (one + _array(huge), one + _array(texts, b"\0" * 16))
    yield one + _array(objects, pickle.dumps([print]))
    yield from (_array(huge), b"", one, _note(b"[]"), _note(b"{}"))
    yield from (_note(b"[" * 100_000), _note(b'{"arrays": "x"}'))
    yield from (_note(b'{"arrays": 1e99}'), b"\x93NUMPY\x03\0" + one)


def test_what_is_signed_but_not_ours_is_damaged(tmp_path):
    path = tmp_path / "file"
    for content in _crafted():
        _signed(path, content)
        with pytest.raises(state_file.DamagedError):
            state_file.read(path)


def test_pipes_links_and_large_files_are_not_read(tmp_path):
    path, folder = tmp_path / "file", tmp_path / "folder"
    folder.mkdir()
    state_file.write(path, {}, [np.zeros(1000)])
    (folder / "link").symlink_to(path)
    os.mkfifo(folder / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(files.UnfitFileError):
            state_file.read(folder / name, within=folder)
    with pytest.raises(files.UnfitFileError, match="bytes; more than 4,000"):
        state_file.read(path, limit=4000)
    assert state_file.read(path, limit=9000).arrays[0].size == 1000
