"""Written, proven, then named; needs no TensorFlow model."""

import dataclasses
import hashlib
import pathlib
import re

import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.exports import export_flags, pending_exports
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import file_checks


def test_the_name_is_given_after_the_proof(tmp_path):
    path = tmp_path / "out" / "model.x"
    with pending_exports.open_file(path) as file:
        file.temporary.write_text("all")
        assert not path.exists()
        file.record_figures({"pictures": 3})
        assert not path.exists()

    assert path.read_text() == "all"
    record = files.read_json(tmp_path / "out" / "parity.json")
    checksum = hashlib.sha256(b"all").hexdigest()
    assert record == {"model.x": {"pictures": 3, "sha256": checksum}}


def test_a_failed_proof_leaves_what_was_there(tmp_path):
    path = tmp_path / "model.x"
    path.write_text("old")

    with (
        pytest.raises(errors.RunError),
        pending_exports.open_file(path) as file,
    ):
        file.temporary.write_text("new")
        raise errors.RunError("no")

    assert [each.name for each in tmp_path.iterdir()] == ["model.x"]
    assert path.read_text() == "old"


class _Killed(BaseException):
    pass


def _write(path, text, pictures):
    with pending_exports.open_file(path) as file:
        file.temporary.write_text(text)
        file.record_figures({"pictures": pictures})


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
        file_checks.parity_check, "decode_images", lambda *_: np.zeros(1)
    )
    monkeypatch.setattr(file_checks.fresh_process, "run_script", end)
    with pytest.raises(errors.RunError, match=r"status -6 .*--format=litert "):
        file_checks.predict_in_fresh_process(
            "litert.py", tmp_path, proof, None, instead=("litert",)
        )


def _job(predictions, truth=None, task="classification", **changes):
    predictions = np.array(predictions)
    proof = jobs.ParityReference(
        paths=tuple(str(i) for i in range(len(predictions))),
        predictions=predictions,
        truth=truth,
    )
    return jobs.ExportJob(
        model=None,
        class_names=("a", "b"),
        image_size=8,
        resize="squash",
        destination=pathlib.Path(),
        proof=proof,
        task=task,
        **changes,
    )


def _judge(got, job, name="x"):
    return file_checks.check_decisions(
        name,
        np.array(got),
        job.proof,
        job,
        instead=("litert_float16", "litert"),
    )


def test_what_passes_is_counted():
    job = _job([[0.9, 0.1], [0.2, 0.8]], np.array([0, 1]))

    tolerance, figures = _judge([[0.86, 0.14], [0.2, 0.8]], job)

    assert figures["max_abs_difference"] == pytest.approx(0.04)
    assert figures["mean_abs_difference"] == pytest.approx(0.02)
    assert figures["accuracy"] == 1.0
    assert tolerance["mean_abs_difference"] == 0.1


def test_a_refusal_says_why_and_what_to_use():
    job = _job([[0.9, 0.1]] * 20)

    with pytest.raises(errors.RunError, match="in the mean") as caught:
        _judge([[0.7, 0.3]] * 20, job, name="model_int8.tflite")

    assert "model_int8.tflite" in str(caught.value)
    assert "--format=litert_float16" in str(caught.value)


def test_floating_point_that_is_less_exact_has_a_bound_of_its_own():
    job = _job([[0.9, 0.1]] * 20)

    def judge(got):
        return file_checks.check_decisions(
            "x", np.array(got), job.proof, job, mean_allowed=0.01
        )

    assert judge([[0.895, 0.105]] * 20)[0]["mean_abs_difference"] == 0.01
    with pytest.raises(errors.RunError, match=r"0\.02 in the mean") as caught:
        judge([[0.88, 0.12]] * 20)
    assert "(allowed 0.01)" in str(caught.value)
    # It names no format unless it is told one.
    assert "litert_float16" not in str(caught.value)


def test_the_task_judges_and_knows_what_was_decided():
    # With the threshold 0.5 nothing would change.
    decision = {"thresholds": {"a": 0.1, "b": 0.5}}
    job = _job([[0.2, 0.2]] * 20, task="multilabel", decision=decision)
    got = [[0.05, 0.2]] * 2 + [[0.2, 0.2]] * 18

    with pytest.raises(errors.RunError, match="90.0% of the labels clearly"):
        _judge(got, job)


def test_numbers_of_any_size_differ_by_shares_of_their_range():
    job = _job(
        [[1e6, 1.0], [2e6, 2.0]], task="regression", unit=np.array([1e6, 1.0])
    )

    _, figures = _judge([[1.05e6, 1.0], [2e6, 2.0]], job)

    assert figures["max_abs_difference"] == pytest.approx(0.05)
    assert figures["per_target"]["b"]["mean_abs_difference"] == 0.0


class TestTolerance:
    """Twenty pictures of the first class, of which some are told wrong."""

    def _job(self, **losses):
        job = _job([[0.9, 0.1]] * 20, np.zeros(20, int))
        return dataclasses.replace(job, tolerance=losses)

    def _wrong(self, count):
        return [[0.1, 0.9]] * count + [[0.9, 0.1]] * (20 - count)

    def test_the_loss_that_is_allowed_decides_alone(self):
        with pytest.raises(errors.RunError, match="accuracy 90.0%"):
            _judge(self._wrong(2), self._job())
        tolerance, figures = _judge(self._wrong(2), self._job(accuracy=0.1))
        assert tolerance == {"accuracy_loss": 0.1}
        assert figures["accuracy"] == 0.9
        # Nearly everything is less sure, and nothing is lost.
        _judge([[0.51, 0.49]] * 20, self._job(accuracy=0.0))

    def test_a_larger_loss_is_refused(self):
        with pytest.raises(errors.RunError, match=r"\(allowed 0\.05\)"):
            _judge(self._wrong(2), self._job(accuracy=0.05))

    @pytest.mark.parametrize("count", [2, 3, 7, 20])
    def test_the_tolerance_that_is_advised_allows_it(self, count):
        with pytest.raises(errors.RunError) as caught:
            _judge(self._wrong(count), self._job())
        (told,) = re.findall(r"--tolerance=(\S+) allows", str(caught.value))
        losses = export_flags.parse_tolerance(told.split(","), ("accuracy",))
        _judge(self._wrong(count), self._job(**losses))

    def test_without_a_truth_there_is_no_loss(self):
        job = _job([[0.9, 0.1]] * 20, tolerance={"accuracy": 0.5})
        with pytest.raises(errors.RunError, match="without --tolerance"):
            _judge([[0.9, 0.1]] * 20, job)

    def test_every_target_may_lose_what_is_allowed(self):
        values = np.arange(25.0)[:, None] * [1, 10]
        job = _job(
            values,
            values,
            task="regression",
            unit=np.array([24.0, 240.0]),
            tolerance={"r2": 0.05},
        )
        _judge(values + [1.0, 0.0], job)
        with pytest.raises(errors.RunError, match="R² of b"):
            _judge(values + [0.0, 80.0], job)
