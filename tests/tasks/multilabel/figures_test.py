"""What is measured of labels, and how it ranks and prints."""

import numpy as np
import pytest

from tf_finetune.evaluation import evaluate_split, gates
from tf_finetune.tasks import multilabel as package
from tf_finetune.tasks.multilabel import figures, labels

_TASK = package.TASK
_VALIDATION = np.array([[0.9, 0.3], [0.2, 0.05], [0.8, 0.1]], "float32")


def _judged(data, split, predictions, decision=None):
    return evaluate_split.evaluate_predictions(
        _TASK,
        data,
        split,
        [predictions[:1], predictions[1:]],
        seed=0,
        decision=decision,
        with_rows=True,
    )


def test_validation_decides_and_is_judged_by_its_decision(data):
    judged = _judged(data, "validation", _VALIDATION)
    bounds = judged.decision["thresholds"]
    assert 0.2 < bounds["b"] < 0.8
    assert 0.1 < bounds["a"] < 0.3
    assert judged.figures["macro_f1"] == 1.0
    assert judged.figures["per_label"]["a"]["threshold"] == bounds["a"]
    assert [row.labels for row in judged.rows] == [("b", "a"), (), ("b",)]


def test_other_splits_are_judged_by_what_was_decided(data):
    predictions = np.array([[0.1, 0.2], [0.1, 0.3]], "float32")
    decision = {"thresholds": {"a": 0.25, "b": 0.5}}
    judged = _judged(data, "test", predictions, decision)
    assert judged.decision == decision
    assert [row.labels for row in judged.rows] == [(), ("a",)]
    assert judged.figures["exact_match"] == 0.0
    plain = _judged(data, "test", predictions, {})
    assert plain.figures["per_label"]["a"]["threshold"] == 0.5


def test_a_network_that_diverged_decides_nothing(data):
    judged = _judged(data, "validation", _VALIDATION * np.nan)
    assert judged.figures is None
    assert judged.decision == {}


def test_the_first_pictures_alone_can_be_judged(data):
    found = evaluate_split.evaluate_predictions(
        _TASK, data, "validation", [_VALIDATION[:2]], seed=0
    ).figures
    assert found["examples"] == 2


def test_higher_precision_wins_and_lower_loss_breaks_ties(data):
    measures = _TASK.figures
    better, worse = (
        {"val_average_precision": each, "val_loss": 1.0} for each in (0.6, 0.5)
    )
    tied = {"val_average_precision": 0.6, "val_loss": 0.5}
    ranks = [measures.rank_epoch(each) for each in (tied, better, worse)]
    assert ranks == sorted(ranks, reverse=True)
    figures = _judged(data, "validation", _VALIDATION).figures
    assert measures.merit(figures) == (1.0, -figures["log_loss"])
    assert measures.format_brief(figures).startswith("mAP 1.000 (log loss")


def test_without_labels_the_merit_is_the_lowest(data):
    figures = {"macro_average_precision": None, "log_loss": 0.1}
    assert _TASK.figures.merit(figures) < (0.0, -9.0)
    assert "undefined" in _TASK.figures.format_brief(figures)


def test_the_baseline_answers_the_training_shares(data):
    described = labels.LABELS.describe(data)
    trivial = _TASK.figures.compute_baselines(described, data, "validation")
    found = trivial["label_shares"]
    # Two of three validation pictures carry b, one carries a.
    assert found["macro_average_precision"] == pytest.approx(0.5)
    shares = np.array([2 / 5, 3 / 5])
    truth = np.array([[1, 1], [0, 0], [1, 0]])
    expected = -np.log(np.where(truth, shares, 1 - shares)).mean()
    assert found["log_loss"] == pytest.approx(expected)


def test_gates_know_the_figures_and_say_how_sure_a_difference_is(data):
    for spec in ("macro_average_precision:0.5", "hamming_loss:0.2"):
        gates.check_spec(spec, _TASK.figures)
    gates.check_spec("log_loss:3", _TASK.figures)
    figures = _judged(data, "validation", _VALIDATION).figures
    said = gates.explain_not_better(
        figures, figures, "the probe", _TASK.figures
    )
    assert "mAP 1.000" in said
    assert "95 % intervals of mAP are" in said


def test_the_text_names_every_label_and_fits_80_columns(data):
    judged = _judged(data, "validation", _VALIDATION)
    baselines = _TASK.figures.compute_baselines(
        labels.LABELS.describe(data), data, "validation"
    )
    figures = {
        "kept": "probe",
        "decision": judged.decision,
        "validation": {**judged.figures, "baselines": baselines},
    }
    lines = _TASK.figures.text(figures).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[:3] == ["validation", "3", "1.000"]
    assert lines[2].split()[:3] == ["label", "shares", "0.500"]
    starts = {line.split()[0] for line in lines[3:] if line}
    assert {"a", "b", "macro", "micro", "exact"} <= starts


def test_a_drawing_is_written_for_a_split(data, tmp_path):
    judged = _judged(data, "validation", _VALIDATION)
    _TASK.figures.draw(judged.figures, data.class_names, tmp_path, "validation")
    assert (tmp_path / "labels_validation.png").read_bytes()[1:4] == b"PNG"


def _label(precision: float | None, support: int = 3) -> dict:
    keys = ("average_precision", "roc_auc", "precision", "recall", "f1")
    row = dict.fromkeys(keys, precision)
    return {**row, "threshold": 0.4, "support": support}


def _result(rows: dict) -> dict:
    return {
        "examples": 9,
        "macro_average_precision": 0.5,
        "macro_average_precision_interval": [0.4, 0.6],
        "exact_match": 0.25,
        "hamming_loss": 0.125,
        "log_loss": 0.3,
        "per_label": rows,
    }


def test_what_is_not_defined_is_a_dash():
    text = figures.Figures().text({"test": _result({"a": _label(None, 0)})})
    assert ["a", *["-"] * 5, "0.400", "0"] in [
        line.split() for line in text.splitlines()
    ]


def test_of_many_labels_the_worst_and_the_best_are_shown():
    rows = {f"{i:02}": _label(i / 100) for i in range(40)}
    lines = figures.format_labels("test", _result(rows)).splitlines()
    shown = [line.split()[0] for line in lines]
    assert shown[1:11] == [f"{i:02}" for i in range(10)]
    assert "25 more labels" in lines[11]
    assert shown[12:17] == ["35", "36", "37", "38", "39"]


def test_long_names_keep_the_columns():
    rows = {"動物" * 20: _label(0.5), "a": _label(0.5)}
    lines = figures.format_labels("test", _result(rows)).splitlines()
    assert lines[1].split()[1:] == lines[2].split()[1:]


def test_nothing_evaluated_is_said():
    assert figures.Figures().text({"kept": "probe"}) == "no split was evaluated"
