"""Tests of tf_finetune/files.py."""

import errno
import hashlib
import os
import stat

import pytest

from tf_finetune import files


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "value.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert files.read_json(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["value.json"]


def test_the_temporary_file_keeps_the_suffixes(tmp_path):
    with files.replacing(tmp_path / "m.weights.h5") as temporary:
        assert temporary.name.endswith(".weights.h5")
        temporary.write_bytes(b"x")
    assert (tmp_path / "m.weights.h5").read_bytes() == b"x"


def test_a_name_is_on_the_disk_after_the_content(tmp_path, monkeypatch):
    done = []

    def note(word, call, told):
        def noted(*arguments):
            done.append((word, told(*arguments)))
            return call(*arguments)

        return noted

    monkeypatch.setattr(
        os, "fsync", note("flush", os.fsync, lambda h: os.fstat(h).st_ino)
    )
    monkeypatch.setattr(os, "replace", note("name", os.replace, lambda a, b: b))
    path = tmp_path / "value.json"
    files.write_json(path, 1)
    assert done == [
        ("flush", path.stat().st_ino),
        ("name", path),
        ("flush", tmp_path.stat().st_ino),
    ]


def test_a_disk_that_flushes_no_folders_is_written_to(tmp_path, monkeypatch):
    real = os.fsync

    def flush(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(handle)

    monkeypatch.setattr(os, "fsync", flush)
    files.write_json(tmp_path / "value.json", 1)
    assert files.read_json(tmp_path / "value.json") == 1


def test_nan_is_refused_rather_than_written_as_invalid_json(tmp_path):
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "v.json", {"a": float("nan")})
    assert not os.listdir(tmp_path)


def test_file_names_that_are_no_utf8_survive(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    files.write_json(tmp_path / "v.json", [name])
    assert files.read_json(tmp_path / "v.json") == [name]


def test_sha256_is_that_of_the_bytes(tmp_path):
    data = bytes(range(256)) * 9000
    (tmp_path / "f").write_bytes(data)
    assert files.sha256(tmp_path / "f") == hashlib.sha256(data).hexdigest()


def test_a_folder_is_no_place_for_a_file_nor_a_file_for_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    find = files.find_write_problem
    assert find(tmp_path, "file") == "it is a folder"
    assert find(tmp_path / "file", "folder") == "it is a file"
    assert find(tmp_path, "folder") is None
    assert find(tmp_path / "file", "file") is None
    assert find(tmp_path / "new", "file") is find(tmp_path / "new") is None
    # A temporary file of the same name begins with fourteen bytes more.
    assert find(tmp_path / ("ü" * 120) / "new") is None
    too_long = "a name of 242 bytes is too long"
    assert find(tmp_path / ("ü" * 121) / "new") == too_long
