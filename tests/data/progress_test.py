"""A bar on a terminal, a line in the log elsewhere."""

import io
import logging
import sys

import pytest

from tf_finetune.data import progress


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def every_level(caplog):
    caplog.set_level(logging.INFO, logger="absl")


def test_terminal_shows_a_bar(monkeypatch, caplog):
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    found = list(progress.bar(range(5), total=5, title="Counting"))
    assert found == [0, 1, 2, 3, 4]
    assert "Counting: 100%" in terminal.getvalue()
    assert caplog.text == ""


def test_log_gets_one_line(monkeypatch, caplog):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(progress.bar("abc", total=None, title="Spelling")) == [*"abc"]
    assert len(caplog.records) == 1
    assert "Spelling: 3 in" in caplog.text
    assert "%|" not in stream.getvalue()
