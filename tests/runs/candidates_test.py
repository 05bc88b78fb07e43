"""The candidates of a run and the choice among them."""

import dataclasses
import types

import numpy as np

from tf_finetune.runs import candidates, split_evaluation

_CLASSES = np.array([0, 1] * 10)


def _candidate(make_context, name, right, weights=(), confidence=0.9):
    """A candidate that answers `right` of twenty pictures correctly."""
    context = make_context({"train": "ab", "validation": "ab" * 10})
    said = np.where(np.arange(20) < right, _CLASSES, 1 - _CLASSES)
    predictions = np.full([20, 2], 1 - confidence)
    predictions[np.arange(20), said] = confidence
    found = split_evaluation.compare_with_labels(
        context, "validation", [predictions]
    )
    return candidates.Candidate(
        name=name, weights=weights, evaluations={"validation": found}
    )


def _compare(make_context, *given):
    return candidates.compare_candidates(
        {each.name: each for each in given}, make_context().task, 0
    )


def test_a_candidate_that_is_better_beyond_chance_is_selected(make_context):
    worse = _candidate(make_context, "probe", 8)
    better = _candidate(make_context, "fine_tune", 20)
    found = _compare(make_context, worse, better)
    assert found.name == "fine_tune"
    assert found.candidate is better
    assert found.text.startswith(
        "on validation: probe accuracy 0.400 (log loss "
    )
    assert "fine_tune accuracy 1.000" in found.text
    assert "kept: fine_tune (" in found.text


def test_within_chance_the_smaller_loss_is_selected(make_context):
    sure = _candidate(make_context, "probe", 19, confidence=0.9)
    unsure = _candidate(make_context, "fine_tune", 20, confidence=0.55)
    # McNemar of 1 gained and 0 lost: p = 1.
    assert _compare(make_context, sure, unsure).name == "probe"


def test_the_first_of_two_equal_candidates_is_selected(make_context):
    first = _candidate(make_context, "probe", 15)
    second = _candidate(make_context, "fine_tune", 15)
    assert _compare(make_context, first, second).name == "probe"


class _Variable:
    def assign(self, value):
        self.value = value


def _context(make_context):
    context = make_context()
    model = types.SimpleNamespace(weights=[_Variable(), _Variable()])
    context.assembly = types.SimpleNamespace(model=model)
    return context


def _select(make_context, probe, fine_tuned):
    context = _context(make_context)
    result = candidates.FitResult(probe=probe, fine_tuned=fine_tuned, table=[])
    chosen = candidates.select_candidate(context, result)
    values = [
        getattr(each, "value", None) for each in context.assembly.model.weights
    ]
    return chosen, values


def test_the_model_gets_the_weights_of_the_selected_candidate(make_context):
    probe = _candidate(make_context, "probe", 8, weights=[1, 2])
    tuned = _candidate(make_context, "fine_tune", 20, weights=[3, 4])
    chosen, values = _select(make_context, probe, tuned)
    assert chosen is tuned
    assert values == [3, 4]
    chosen, values = _select(make_context, probe, probe)
    assert chosen is probe
    assert values == [1, 2]


def test_a_diverged_model_is_not_kept(make_context, caplog):
    probe = _candidate(make_context, "probe", 8, weights=[1, 2])
    tuned = _candidate(make_context, "fine_tune", 20, weights=[3, 4])
    nothing = dataclasses.replace(tuned.evaluations["validation"], figures=None)
    tuned = dataclasses.replace(tuned, evaluations={"validation": nothing})
    chosen, values = _select(make_context, probe, tuned)
    assert chosen is probe
    assert values == [1, 2]
    assert "fine-tuning diverged" in caplog.text
    assert "--learning_rate" in caplog.text


def test_a_head_alone_is_kept_without_comparison(make_context):
    probe = _candidate(make_context, "probe", 8)
    chosen, values = _select(make_context, probe, None)
    assert chosen is probe
    assert values == [None, None]


def test_a_decision_is_that_of_validation(make_context):
    probe = _candidate(make_context, "probe", 8)
    found = dataclasses.replace(
        probe.evaluations["validation"], decision={"thresholds": [0.4]}
    )
    probe = dataclasses.replace(probe, evaluations={"validation": found})
    assert probe.decision == {"thresholds": [0.4]}
