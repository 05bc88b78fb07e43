"""Tests of tf_finetune/runs/run_figures.py."""

import csv
import json
import types

import numpy as np
import pytest

from tf_finetune.runs import run_figures, split_evaluation

# Probabilities of "a" and "b" for pictures that are a, b, a, b.
_RIGHT = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])
_HALF = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])


@pytest.fixture
def context(make_context):
    """Four training pictures, four of validation, two of each class."""
    return make_context(
        {"train": "abab", "validation": "abab"},
        label_description={"classes": {"train": {"a": 3, "b": 1}}},
    )


def _candidate(context, name, **probabilities):
    return types.SimpleNamespace(
        name=name,
        decision={},
        evaluations={
            split: split_evaluation.evaluate_predictions(
                context, split, [values]
            )
            for split, values in probabilities.items()
        },
    )


@pytest.fixture
def result(context):
    """The fine-tuned model is right four times, the probe twice."""
    probe = _candidate(context, "probe", train=_HALF, validation=_HALF)
    tuned = _candidate(context, "fine_tuned", train=_HALF, validation=_RIGHT)
    return types.SimpleNamespace(
        chosen=tuned,
        facts={},
        beside={},
        fit_result=types.SimpleNamespace(probe=probe),
    )


def test_figures_of_every_split_stand_beside_their_baselines(context, result):
    figures = run_figures.evaluate_splits(context, result)
    assert figures["kept"] == "fine_tuned"
    assert figures["data_fingerprint"] == "of-all-pictures"
    assert figures["validation"]["accuracy"] == 1.0
    assert figures["train"]["accuracy"] == 0.5
    beside = figures["validation"]["baselines"]
    assert beside["probe"]["accuracy"] == 0.5
    # The commonest class of the training pictures is "a".
    assert beside["majority_class"]["accuracy"] == 0.5


def test_the_figures_are_those_of_the_file(context, result):
    figures = run_figures.evaluate_splits(context, result)
    written = json.loads(context.place.evaluation.read_text())
    assert written == json.loads(json.dumps(figures))


def test_predictions_are_of_pictures_that_were_not_trained_on(context, result):
    run_figures.evaluate_splits(context, result)
    with context.place.predictions.open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [each.path for each in context.data.split("validation")]
    assert [row["path"] for row in rows] == expected


def test_every_split_has_a_chart(context, result):
    run_figures.evaluate_splits(context, result)
    names = {path.name for path in context.place.path.glob("*.png")}
    assert names == {"confusion_train.png", "confusion_validation.png"}


def test_facts_and_candidates_of_unlabeled_pictures_are_told(context, result):
    result.facts = {"used": 3}
    result.beside = {
        "supervised": _candidate(
            context, "supervised", train=_HALF, validation=_HALF
        )
    }
    figures = run_figures.evaluate_splits(context, result)
    assert figures["unlabeled"] == {"used": 3}
    beside = figures["validation"]["baselines"]
    assert beside["supervised"]["accuracy"] == 0.5


def test_a_split_without_figures_is_evaluated_from_pictures(
    context, result, monkeypatch
):
    asked = []
    found = result.chosen.evaluations.pop("train")

    def evaluate(given, split, decision):
        asked.append((given is context, split, decision))
        return found

    monkeypatch.setattr(split_evaluation, "evaluate_model", evaluate)
    figures = run_figures.evaluate_splits(context, result)
    assert asked == [(True, "train", {})]
    assert figures["train"]["accuracy"] == 0.5
