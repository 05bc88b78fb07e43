"""Written, proven, then named; needs no TensorFlow model."""

import pytest

from tf_finetune import errors, files
from tf_finetune.exporting import single_file


def test_the_name_is_given_after_the_proof(tmp_path):
    path = tmp_path / "out" / "model.x"
    seen = []

    def prove(temporary, name):
        seen.append((temporary.read_text(), name, path.exists()))
        return {"pictures": 3}

    written = single_file.write(path, lambda p: p.write_text("all"), prove)

    assert written == path
    assert seen == [("all", "model.x", False)]
    assert path.read_text() == "all"
    record = files.read_json(tmp_path / "out" / "parity.json")
    assert record == {"model.x": {"pictures": 3}}


def test_a_failed_proof_leaves_what_was_there(tmp_path):
    path = tmp_path / "model.x"
    path.write_text("old")

    def prove(temporary, name):
        raise errors.RunError("no")

    with pytest.raises(errors.RunError):
        single_file.write(path, lambda p: p.write_text("new"), prove)

    assert [each.name for each in tmp_path.iterdir()] == ["model.x"]
    assert path.read_text() == "old"
