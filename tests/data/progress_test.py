"""A bar on a terminal and in a notebook, a line in the log elsewhere."""

import io
import logging
import sys
import types

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


def _ipython(**of_the_shell):
    shell = types.SimpleNamespace(**of_the_shell)
    return types.SimpleNamespace(get_ipython=lambda: shell)


def test_notebook_shows_a_bar_that_is_not_coloured_as_an_error(
    monkeypatch, caplog
):
    below_the_cell, errors = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", below_the_cell)
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setitem(sys.modules, "IPython", _ipython(kernel=object()))
    assert list(progress.bar("abc", total=3, title="Spelling")) == [*"abc"]
    assert "Spelling: 100%" in below_the_cell.getvalue()
    assert errors.getvalue() == ""
    assert caplog.text == ""


def test_ipython_without_a_kernel_is_no_notebook(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setitem(sys.modules, "IPython", _ipython())
    assert progress.screen() is None
    nobody = types.SimpleNamespace(get_ipython=lambda: None)
    monkeypatch.setitem(sys.modules, "IPython", nobody)
    assert progress.screen() is None
