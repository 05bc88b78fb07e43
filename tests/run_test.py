"""Tests of tf_finetune/run.py."""

import csv
import html
import pathlib

import pytest

import tf_finetune as tff
from tf_finetune import errors, run
from tf_finetune.tasks import catalog
from tf_finetune.training import history


def _run(path: pathlib.Path, names=("a", "b")) -> run.Run:
    """A run of two splits whose figures are the least that is shown."""
    figures = {"accuracy": 0.75, "log_loss": 0.5}
    return run.Run(
        model=None,
        evaluation={"kept": "probe", "validation": figures, "test": figures},
        history=[],
        class_names=names,
        workdir=path,
        task=catalog.TASKS.get("classification"),
    )


def test_the_repr_is_one_short_line(tmp_path):
    shown = repr(_run(tmp_path))
    assert shown == (
        f"Run({str(tmp_path)!r}, test: accuracy 0.750 (log loss 0.500))"
    )


def test_the_html_names_every_split_and_escapes_what_is_no_html(tmp_path):
    path = tmp_path / "<b>&run"
    page = _run(path, names=("<script>", *"bcdefg"))._repr_html_()
    assert html.escape(str(path)) in page
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "(7 in all)" in page
    assert page.count("accuracy 0.750") == 2


def test_what_a_run_is_asked_for_is_asked_of_its_workdir(tmp_path, monkeypatch):
    asked = []
    for name in ("predict", "evaluate", "export"):
        monkeypatch.setattr(
            run.finished_workflow,
            name,
            lambda *given, name=name, **keywords: asked.append(
                (name, *given, keywords)
            ),
        )
    found = _run(tmp_path)
    found.predict("x.jpg", top_k=2)
    found.evaluate("more/")
    found.evaluate()
    found.export("onnx")
    assert asked == [
        ("predict", tmp_path, "x.jpg", {"top_k": 2}),
        ("evaluate", tmp_path, "more/", {}),
        ("evaluate", tmp_path, None, {}),
        ("export", tmp_path, "onnx", {}),
    ]


def test_charts_are_those_that_were_drawn(tmp_path):
    for name in ("confusion_test.png", "history.png", "mine.png"):
        (tmp_path / name).touch()
    names = [path.name for path in _run(tmp_path).charts()]
    assert names == ["history.png", "confusion_test.png"]


def test_a_folder_without_a_run_is_a_usage_error(tmp_path):
    with pytest.raises(errors.UsageError, match="No run in"):
        tff.load_run(tmp_path)


def test_the_history_is_read_as_it_was_written(tmp_path):
    table = [
        {"stage": "fine_tune", "epoch": 1, "loss": 0.25, "val_loss": 1e-9},
        {"stage": "fine_tune", "epoch": 2, "loss": 0.125},
    ]
    history.write(tmp_path / "history.csv", table)
    assert history.read(tmp_path / "history.csv") == table
    with open(tmp_path / "history.csv", newline="") as file:
        assert len([*csv.reader(file)]) == 3
