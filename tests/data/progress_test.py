"""A bar on a terminal and in a notebook, a line in the log elsewhere."""

import io
import itertools
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
    found = list(progress.track(range(5), total=5, title="Counting"))
    assert found == [0, 1, 2, 3, 4]
    assert "Counting: 100%" in terminal.getvalue()
    assert caplog.text == ""


def test_log_gets_one_line(monkeypatch, caplog):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(progress.track("abc", total=None, title="Spelling")) == [*"abc"]
    assert len(caplog.records) == 1
    assert "Spelling: 3 in" in caplog.text
    assert "%|" not in stream.getvalue()


def _ipython(**of_the_shell):
    shell = types.SimpleNamespace(**of_the_shell)
    return types.SimpleNamespace(get_ipython=lambda: shell)


def test_notebook_shows_a_bar_that_is_not_colored_as_an_error(
    monkeypatch, caplog
):
    below_the_cell, errors = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", below_the_cell)
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setitem(sys.modules, "IPython", _ipython(kernel=object()))
    assert list(progress.track("abc", total=3, title="Spelling")) == [*"abc"]
    assert "Spelling: 100%" in below_the_cell.getvalue()
    assert errors.getvalue() == ""
    assert caplog.text == ""


def test_ipython_without_a_kernel_is_no_notebook(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setitem(sys.modules, "IPython", _ipython())
    assert progress.find_screen() is None
    nobody = types.SimpleNamespace(get_ipython=lambda: None)
    monkeypatch.setitem(sys.modules, "IPython", nobody)
    assert progress.find_screen() is None


def _at(monkeypatch, seconds):
    """Lets each look at the clock find it some seconds on."""
    clock = itertools.count(0, seconds)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys, "stderr", io.StringIO())


def test_a_log_gets_a_line_every_30_seconds(monkeypatch, caplog):
    _at(monkeypatch, 10)
    list(progress.track(range(10), total=10, title="Features", unit="batches"))
    assert [record.getMessage() for record in caplog.records] == [
        "Features: 3 of 10 batches (30%), about 70 s left",
        "Features: 6 of 10 batches (60%), about 40 s left",
        "Features: 9 of 10 batches (90%), about 10 s left",
        "Features: 10 batches in 110.0 s.",
    ]


def test_one_of_a_kind_is_singular(monkeypatch, caplog):
    _at(monkeypatch, 10)
    for unit in ("batches", "folds"):
        list(progress.track("a", total=1, title="Features", unit=unit))
    said = [record.getMessage() for record in caplog.records]
    assert [each.rpartition(" in ")[0] for each in said] == [
        "Features: 1 batch",
        "Features: 1 fold",
    ]


def test_work_of_unknown_length_says_how_far_it_is(monkeypatch, caplog):
    _at(monkeypatch, 600)
    list(progress.track("ab", total=None, title="Spelling"))
    assert "Spelling: 1 in 10 min so far" in caplog.text


def test_what_takes_hours_is_told_in_hours(monkeypatch, caplog):
    _at(monkeypatch, 6000)
    list(progress.track(range(3), total=3, title="Solving", unit="folds"))
    assert "1 of 3 folds (33%), about 3 h 20 min left" in caplog.text


def test_nothing_is_said_of_brief_work_unless_it_takes_long(
    monkeypatch, caplog
):
    _at(monkeypatch, 1)
    list(progress.track("ab", total=2, title="Evaluating", is_brief=True))
    assert caplog.text == ""
    _at(monkeypatch, 40)
    list(progress.track("ab", total=2, title="Evaluating", is_brief=True))
    assert "Evaluating: 1 of 2 (50%), about 40 s left" in caplog.text


def test_work_that_is_given_up_is_not_called_done(monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for number in progress.track(range(9), total=9, title="Counting"):
        if number == 3:
            break
    assert caplog.text == ""
