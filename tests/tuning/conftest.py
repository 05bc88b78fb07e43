"""Studies whose trials are faked: files of a run without its training."""

import os

import fake_trials
import pytest

from tf_finetune.tuning import study_page


@pytest.fixture(autouse=True)
def engine():
    """Skips what needs the extra `tune` where it is not installed."""
    return pytest.importorskip("optuna")


@pytest.fixture
def keywords(tmp_path):
    """Flags of a study of four trials on the digits."""
    return fake_trials.make_keywords(tmp_path)


@pytest.fixture
def report():
    """Takes the command's text."""
    return lambda text: None


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    """Works in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def drawn():
    """Asks for the page with its charts, which takes half a second."""


@pytest.fixture(autouse=True)
def drawn_if_asked(request, monkeypatch):
    """Leaves the charts out of the studies of most tests."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(study_page, "build_page", lambda *parts: "")
