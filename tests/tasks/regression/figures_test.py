"""Tests of tf_finetune/tasks/regression/figures.py."""

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.evaluation import gates
from tf_finetune.tasks import catalog
from tf_finetune.tasks.regression import figures

_TRUE = np.array([[1.0], [10.0], [100.0], [50.0]])
_SAID = np.array([[1.1], [12.0], [70.0], [55.0]])


def _of(measures: figures.Figures, said=_SAID):
    return measures.compute_figures(_TRUE, said, ["price"], seed=0)


def test_results_are_ordered_on_the_scale_that_is_learned():
    # Worse in the user's units, better in logarithms.
    other = np.array([[1.0], [10.0], [60.0], [50.0]])
    plain, logged = figures.Figures(), figures.Figures(logged=(True,))
    assert plain.merit(_of(plain)) > plain.merit(_of(plain, other))
    assert logged.merit(_of(logged))[-1] == _of(logged)["log_r2"]
    assert _of(logged)["judged_by"] == "log_r2"
    assert "R² of the logarithm" in logged.format_brief(_of(logged))


def test_what_has_no_logarithm_is_judged_by_r2():
    logged = figures.Figures(logged=(True,))
    found = _of(logged, _SAID - 5)
    assert found["log_r2"] is None and found["judged_by"] == "r2"


def test_epochs_are_ordered_by_their_loss():
    rank = figures.Figures().rank_epoch
    assert rank({"val_loss": 0.1}) > rank({"val_loss": 0.2})


def test_gates_know_the_figures():
    measures = figures.Figures()
    found = _of(measures)
    assert not gates.find_failures(found, ["r2:0.8", "mae:100"], measures)
    (failed,) = gates.find_failures(found, ["mape:0.01"], measures)
    assert "above the required 0.01" in failed
    rival = {**found, "r2": 1.0}
    sentence = gates.explain_not_better(found, rival, "the probe", measures)
    assert "not better than the probe" in sentence


def test_a_run_judged_otherwise_is_compared_by_the_runs_own_figure():
    near_large = np.array([[1.5], [11.0], [92.0], [51.0]])
    near_small = np.array([[1.0], [10.0], [80.0], [40.0]])
    plain, logged = figures.Figures(), figures.Figures(logged=(True,))
    mine, theirs = _of(logged, near_large), _of(plain, near_small)
    assert theirs["r2"] < mine["log_r2"] < mine["r2"] < theirs["log_r2"]
    sentence = gates.explain_not_better(mine, theirs, "the run in x", logged)
    assert sentence.count("R² of the logarithm") == 2
    mine, theirs = _of(plain, near_large), _of(logged, near_small)
    assert gates.explain_not_better(mine, theirs, "the run in x", plain) is None
    # A prediction below 0 has no logarithm, so R² is left.
    theirs = _of(plain, near_small - 2)
    sentence = gates.explain_not_better(
        _of(logged), theirs, "the run in x", logged
    )
    assert theirs["log_r2"] is None and "(R² 0.848" in sentence


def test_results_without_a_figure_in_common_are_not_compared():
    mine = {"judged_by": "log_r2", "log_r2": 0.5, "r2": None}
    theirs = {"judged_by": "r2", "log_r2": None, "r2": 0.5}
    with pytest.raises(errors.RunError, match="--target_transform"):
        gates.explain_not_better(
            mine, theirs, "the run in x", figures.Figures()
        )


def test_a_finished_run_is_judged_on_as_it_was():
    task = catalog.TASKS.get("regression")
    for measures in (figures.Figures(), figures.Figures(logged=(True,))):
        found = {"kept": "probe", "test": _of(measures)}
        again = _of(task.with_evaluation(found).figures)
        assert again["judged_by"] == found["test"]["judged_by"]


def test_trivial_answers_come_from_training():
    described = {
        "targets": {"train": {"price": {"mean": 40.25, "median": 30.0}}}
    }
    found = figures.Figures().compute_constant_baselines(
        described, _TRUE, ["price"]
    )
    assert found["training_mean"]["r2"] == pytest.approx(0)
    assert found["training_median"]["answers"] == {"price": 30.0}


def test_the_text_names_splits_baselines_and_parts():
    measures = figures.Figures()
    result = {
        "kept": "probe",
        "test": {**_of(measures), "baselines": {"columns": _of(measures)}},
        "fusion": {
            "kept": "stack",
            "figure": "R²",
            "parts": {"columns": {"weights": [0.8], "alone": {"test": 0.5}}},
            "left_out": {"line 3": "why"},
        },
    }
    text = measures.text(result)
    assert "test" in text and "  columns" in text
    assert "fusion: stack kept" in text and "weight 0.80" in text
    assert "1 rows without" in text
    assert max(map(len, text.splitlines()[:3])) <= 80


def test_a_scatter_plot_is_drawn_for_each_target(tmp_path):
    measures = figures.Figures()
    true = np.concatenate([_TRUE, -_TRUE, _TRUE, _TRUE], axis=1)
    names = ["a", "$b", "c", "d"]
    found = measures.compute_figures(true, true, names, seed=0)
    measures.draw(found, names, tmp_path, "test")
    assert (tmp_path / "scatter_test.png").read_bytes()[:4] == b"\x89PNG"


def test_numbers_of_any_size_stand_apart():
    huge = {
        "per_target": {"price": {}},
        "r2": -1.23e60,
        "mae": 1e30,
        "mape": 1e28,
    }
    huge |= {"examples": 4, "r2_interval": (-1.2e60, 0.758), "log_r2": -1e60}
    text = figures.Figures().text({"test": huge})
    assert text.splitlines()[1].split() == [
        "test", "4", "-1e+60", "-1e+60", "to", "0.758", "-1e+60", "1e+30",
        "1e+30%",
    ]  # fmt: skip
