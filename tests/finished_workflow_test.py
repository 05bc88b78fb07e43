"""Tests of tf_finetune/finished_workflow.py: where results are written."""

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
