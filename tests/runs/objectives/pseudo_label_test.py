"""Pseudo-labels by features, on points made by hand."""

import types

import numpy as np
import pytest
import sample_pictures

from tf_finetune.data import unlabeled_files
from tf_finetune.feature_cache import store as stores
from tf_finetune.runs.objectives import objective_protocol, pseudo_label
from tf_finetune.semi_supervised import pseudo_labels


def _pool(names):
    return unlabeled_files.Pool(
        found=len(names),
        pictures=tuple(
            sample_pictures.make_picture(name, None, name, side=8)
            for name in names
        ),
        dropped=(),
        known={},
        repeated=0,
    )


@pytest.fixture
def given(make_context, tmp_path):
    """Two clouds of features: around (1, 0) class a, around (0, 1) class b."""
    context = make_context(
        {"train": "ab" * 5, "validation": "ab"}, {"pseudo_label_share": 1.0}
    )
    pool = _pool([f"{number:064d}" for number in range(6)])
    generator = np.random.default_rng(0)
    classes = [
        *(picture.label for picture in context.data.split("train")),
        *"aaabbb",
    ]
    rows = np.array([[1, 0] if each == "a" else [0, 1] for each in classes])
    rows = rows + generator.normal(0, 0.05, rows.shape)
    store = stores.Store(tmp_path / "features", width=2, dtype="float32")
    names = [p.sha256 for p in (*context.data.split("train"), *pool.pictures)]
    store.put(names, rows.astype("float32"))
    context.cache = types.SimpleNamespace(features=store)
    return objective_protocol.ObjectiveInputs(
        context=context, pool=pool, supervised=None, exit_stack=None
    )


def test_labels_follow_the_features(given):
    found = pseudo_label.assign_labels(given)
    assert [*found.labels] == [*"aaabbb"]
    assert found.where == "training pictures, left out in turn"


def test_precision_is_measured_on_labeled_pictures_left_out(given):
    precision = pseudo_label.assign_labels(given).precision
    assert precision.held_out == 10
    assert precision.precision == 1.0


def _labels(labels, right=9, guessed=10):
    return pseudo_label.PoolLabels(
        labels=labels,
        precision=pseudo_labels.PseudoLabelPrecision(
            right=right, guessed=guessed, sure=guessed, held_out=12
        ),
        where="validation pictures",
    )


def test_precision_is_a_number_of_right_ones():
    text = pseudo_label._format_result(5, 8, _labels([]))
    assert text == (
        "5 of 8 unlabeled pictures were used; on validation pictures, 9 of 10 "
        "pseudo-labels are right (precision 0.900)"
    )


def test_too_few_pictures_measure_no_precision():
    text = pseudo_label._format_result(5, 8, _labels([], right=0, guessed=0))
    assert text.endswith("; too few labeled ones to measure the precision")


def test_without_a_sure_label_nothing_is_learned(given, monkeypatch, caplog):
    monkeypatch.setattr(
        pseudo_label, "assign_labels", lambda given: _labels([None] * 6)
    )
    assert pseudo_label.learn(given) is None
    assert "no unlabeled picture has a confident pseudo-label" in caplog.text


def test_sure_pictures_join_the_training_split_alone(fresh_run, monkeypatch):
    seen, pool = [], fresh_run.data.split("test")
    labels = ["bright", None, "dark"] + [None] * (len(pool) - 3)

    def run_stages(context):
        seen.append(context.data)
        return types.SimpleNamespace(table=[{"epoch": 1}])

    monkeypatch.setattr(
        pseudo_label, "assign_labels", lambda given: _labels(labels)
    )
    monkeypatch.setattr(pseudo_label.train, "run_stages", run_stages)
    monkeypatch.setattr(
        pseudo_label.candidates, "select_candidate", lambda context, result: 0
    )
    outcome = pseudo_label.learn(
        objective_protocol.ObjectiveInputs(
            context=fresh_run,
            pool=types.SimpleNamespace(pictures=pool),
            supervised=None,
            exit_stack=None,
        )
    )
    (data,) = seen
    before = fresh_run.data.split("train")
    added = data.split("train")[len(before) :]
    assert [(each.path, each.label) for each in added] == [
        (pool[0].path, "bright"),
        (pool[2].path, "dark"),
    ]
    for split in ("validation", "test"):
        assert data.split(split) == fresh_run.data.split(split)
    assert outcome.facts["learned"] == 2
    assert outcome.facts["precision"] == 0.9
    assert outcome.facts["precision_of"]["measured_on"] == "validation pictures"
