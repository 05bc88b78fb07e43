"""The Keras file of whole rows, without the other process."""

import pytest

pytest.importorskip("keras")

from tf_finetune import errors, files
from tf_finetune.exports import keras_files
from tf_finetune.exports.parity import fresh_process


def test_a_model_of_rows_is_proven_on_rows(
    build_row_job, fused, tmp_path, monkeypatch
):
    def run(script, path, inputs):
        assert script.name == "keras_file.py" and path.suffix == ".keras"
        assert inputs.pop("batch_size") == 2
        return {"probabilities": fused.predict_on_batch(inputs)}

    monkeypatch.setattr(fresh_process, "run_script", run)
    path = keras_files.write_keras(build_row_job(tmp_path))

    assert path == tmp_path / "model.keras"
    figures = files.read_json(tmp_path / "parity.json")["model.keras"]
    assert figures["fresh process"]["max_abs_difference"] <= 1e-6
    assert figures["sha256"] == files.sha256(path)
    assert (figures["rows"], figures["pictures"]) == (5, 10)


def test_a_file_that_computes_something_else_leaves_nothing(
    build_row_job, tmp_path, monkeypatch
):
    job, place = build_row_job(tmp_path / "out"), tmp_path / "out"
    said = {"probabilities": job.proof.predictions + 0.01}
    monkeypatch.setattr(fresh_process, "run_script", lambda *_: said)
    with pytest.raises(errors.RunError, match="differs from the evaluation"):
        keras_files.write_keras(job)

    assert list(place.iterdir()) == []
