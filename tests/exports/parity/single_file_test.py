"""Written, proven, then named; needs no TensorFlow model."""

import hashlib

import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import single_file


def test_the_name_is_given_after_the_proof(tmp_path):
    path = tmp_path / "out" / "model.x"
    with single_file.open_file(path) as file:
        file.temporary.write_text("all")
        assert not path.exists()
        file.publish({"pictures": 3})
        assert not path.exists()

    assert path.read_text() == "all"
    record = files.read_json(tmp_path / "out" / "parity.json")
    checksum = hashlib.sha256(b"all").hexdigest()
    assert record == {"model.x": {"pictures": 3, "sha256": checksum}}


def test_a_failed_proof_leaves_what_was_there(tmp_path):
    path = tmp_path / "model.x"
    path.write_text("old")

    with pytest.raises(errors.RunError), single_file.open_file(path) as file:
        file.temporary.write_text("new")
        raise errors.RunError("no")

    assert [each.name for each in tmp_path.iterdir()] == ["model.x"]
    assert path.read_text() == "old"


class _Killed(BaseException):
    pass


def _write(path, text, pictures):
    with single_file.open_file(path) as file:
        file.temporary.write_text(text)
        file.publish({"pictures": pictures})


@pytest.mark.parametrize("moment", ["before the record", "after the record"])
def test_a_killed_export_never_leaves_old_figures_for_a_new_file(
    tmp_path, monkeypatch, moment
):
    path = tmp_path / "model.x"
    _write(path, "old", 1)
    replace = files.os.replace

    def die_at(source, target):
        name = "parity.json" if moment.startswith("before") else "model.x"
        if target.name == name:
            raise _Killed
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", die_at)
        # What kill -9 leaves: nobody clears up.
        patch.setattr(files.pathlib.Path, "unlink", lambda *_, **__: None)
        with pytest.raises(_Killed):
            _write(path, "new", 2)
    found = files.read_json(tmp_path / "parity.json")["model.x"]
    assert path.read_text() == "old"
    is_of_the_file = found["sha256"] == hashlib.sha256(b"old").hexdigest()
    assert is_of_the_file == (found["pictures"] == 1)

    _write(path, "new", 2)
    found = files.read_json(tmp_path / "parity.json")["model.x"]
    assert found["sha256"] == hashlib.sha256(b"new").hexdigest()
    assert {each.name for each in tmp_path.iterdir()} == {
        "model.x",
        "parity.json",
    }


def test_a_runtime_that_ends_is_a_refusal_with_advice(tmp_path, monkeypatch):
    def end(*_):
        raise errors.RunError("litert.py ended with status -6")

    picture = tmp_path / "1.png"
    picture.write_bytes(b"")
    proof = jobs.ParityReference(
        paths=(str(picture),), predictions=np.zeros([1, 2])
    )
    monkeypatch.setattr(
        single_file.parity_check, "decode_images", lambda *_: np.zeros(1)
    )
    monkeypatch.setattr(single_file.fresh_process, "run_script", end)
    with pytest.raises(errors.RunError, match=r"status -6 .*--format=litert "):
        single_file.predict_in_fresh_process(
            "litert.py", tmp_path, proof, None, instead=("litert",)
        )
