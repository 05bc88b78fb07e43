"""Version folders and their lock; needs no TensorFlow."""

import pytest

from tf_finetune import errors
from tf_finetune.exports import pending_exports


def test_a_failing_block_leaves_no_folder(tmp_path):
    with (
        pytest.raises(RuntimeError),
        pending_exports.next_version(tmp_path) as (temporary, version),
    ):
        temporary.mkdir()
        assert version == "1"
        raise RuntimeError

    assert list(tmp_path.iterdir()) == []


def test_nothing_is_seen_under_the_version_before_the_end(tmp_path):
    with pending_exports.next_version(tmp_path) as (temporary, version):
        temporary.mkdir()
        (temporary / "weights").write_text("all")
        assert not (tmp_path / version).exists()

    assert (tmp_path / "1" / "weights").read_text() == "all"


def test_a_second_export_into_the_same_folder_is_refused(tmp_path):
    with (
        pending_exports.lock_folder(tmp_path, names=["a"]),
        pytest.raises(errors.UsageError, match="Another process"),
        pending_exports.lock_folder(tmp_path, names=["a"]),
    ):
        pass


def test_only_leftovers_of_the_same_artifact_are_removed(tmp_path):
    ours = [
        tmp_path / ".tmp-0123abcd-3",
        tmp_path / ".tmp-0123abcd-parity.json",
    ]
    foreign = [
        tmp_path / ".tmp-mine",
        tmp_path / ".tmp-0123abcd-parity_json",
        tmp_path / ".tmp-0123abcd-model.keras",
        tmp_path / "3",
    ]
    for path in (*ours, *foreign):
        path.mkdir()

    with pending_exports.lock_folder(
        tmp_path, names=[pending_exports.ANY_VERSION, "parity.json"]
    ):
        pass

    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in foreign)


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(errors.UsageError, match="cannot be written"),
        pending_exports.lock_folder(tmp_path / "file" / "export", names=["a"]),
    ):
        pass
