"""The folder in which a command is typed, and a finished run in it."""

import pytest

from tf_finetune import files


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def finished(here):
    """A folder that says what a finished run without validation says."""
    files.write_json(here / "run.json", {"status": "finished"})
    files.write_json(here / "data.json", {"images": {"train": 9}})
    files.write_text(here / "run.flags", "--data=pictures\n")
    return here
