"""The Keras file of whole rows, without the other process."""

import pytest

pytest.importorskip("keras")

from tf_finetune import errors, files
from tf_finetune.exports.rows import fused_keras


def test_the_copy_is_the_runs_file_and_proven_on_rows(
    build_job, fused, tmp_path, monkeypatch
):
    def run(script, path, inputs):
        assert script.name == "keras_file.py" and path.suffix == ".keras"
        assert inputs.pop("batch_size") == 2
        return {"probabilities": fused.predict_on_batch(inputs)}

    monkeypatch.setattr(fused_keras.fresh_process, "run_script", run)
    job = build_job(tmp_path)
    path = fused_keras.write(job)

    assert path == tmp_path / "fused.keras"
    assert path.read_bytes() == job.source.read_bytes()
    figures = files.read_json(tmp_path / "parity.json")["fused.keras"]
    assert figures["fresh process"]["max_abs_difference"] <= 1e-6
    assert figures["sha256"] == files.sha256(path)
    assert (figures["rows"], figures["pictures"]) == (5, 10)


def test_a_file_that_computes_something_else_leaves_nothing(
    build_job, tmp_path, monkeypatch
):
    job, place = build_job(tmp_path / "out"), tmp_path / "out"
    said = {"probabilities": job.proof.values + 0.01}
    monkeypatch.setattr(
        fused_keras.fresh_process, "run_script", lambda *_: said
    )
    with pytest.raises(errors.RunError, match="differs from the evaluation"):
        fused_keras.write(job)

    assert list(place.iterdir()) == []
