"""Tests of tf_finetune/finished_workflow.py: its data and its output."""

import pathlib

import numpy as np
import pytest

from tf_finetune import errors, files, finished_workflow


@pytest.mark.parametrize("output", ["~", "~/x"])
def test_the_home_folder_is_meant_by_a_tilde(tmp_path, monkeypatch, output):
    (tmp_path / "x").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    files.write_json(tmp_path / "run.json", {"status": "finished"})
    files.write_text(tmp_path / "run.flags", "--data=x\n")
    # A folder of that name is there, in which the table cannot be written.
    with pytest.raises(errors.UsageError, match=f"{tmp_path}.*it is a folder"):
        finished_workflow.predict(str(tmp_path), "x.jpg", output=output)


def test_arrays_with_labels_are_evaluated_as_files(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        finished_workflow,
        "evaluate_run",
        lambda config, report: seen.append(config.data),
    )
    images = np.zeros([2, 9, 9, 3], "uint8")
    evaluate = finished_workflow.evaluate
    evaluate("run", (images, ["a", "b"]), cache_dir=str(tmp_path))
    evaluate("run")
    evaluate("run", tmp_path)
    table, *others = seen
    assert pathlib.Path(table).read_text().count(".png") == 2
    assert others == ["", str(tmp_path)]


def test_arrays_without_labels_are_for_the_model():
    with pytest.raises(errors.UsageError, match=r"got ndarray.*\.model"):
        finished_workflow.predict("run", np.zeros([2, 9, 9, 3], "uint8"))
