"""Tests of tf_finetune/recipe_search/decide.py, without TensorFlow."""

import dataclasses

import pytest

from tf_finetune.config import options, train_config
from tf_finetune.recipe_search import (
    candidates,
    decide,
    facts,
    recipe,
    trial_notes,
    writing,
)

# 600 pictures and ten epochs: about 3 s of a trial of the top, and 75 s of one
# of all layers.
_COSTS = candidates.Costs(
    load=0.001, forward=0.003, frozen_share=1.0, missing_views=0
)
_PROBE = facts.ProbeFacts(log_loss=0.5, accuracy=0.9, knn=0.9, majority=0.5)


class _Network:
    """Stands in for a network: its losses are those of a table."""

    def __init__(self, losses, tried, folder):
        self._losses = losses
        self._tried = tried
        self._folder = folder

    def measure_probe(self):
        return _PROBE

    def measure_costs(self):
        return _COSTS

    def run(self, candidate):
        self._tried.append(candidate)
        if candidate not in self._losses:
            raise KeyboardInterrupt
        place = self._folder / candidate.folder_name
        place.mkdir(parents=True, exist_ok=True)
        return candidates.Trial(
            candidate=candidate,
            log_loss=self._losses[candidate],
            accuracy=0.9,
            start_log_loss=1.0,
            interpolate=1.0,
            uninterpolated=self._losses[candidate],
            block_losses=(self._losses[candidate],),
            seconds=3.0,
            cache="on",
        )


@pytest.fixture
def first(make_facts):
    config = options.from_keywords(train_config.TrainConfig, {"data": "d"})
    return recipe.Recipe(
        config=config, decisions=(), facts=make_facts(), fingerprint="data"
    )


@pytest.fixture
def run_trials(first, tmp_path):
    """Decides in a folder; returns the recipe and the candidates tried."""

    def run(losses, budget=None, first=first, **options):
        tried = []
        notes = trial_notes.TrialNotes(tmp_path, "key")
        found = decide.decide_by_trials(
            first,
            notes,
            lambda trainable: _Network(losses, tried, notes.folder),
            lambda seconds: budget,
            **options,
        )
        return found, tried

    return run


def _make_losses(first, *values):
    listed = candidates.list_candidates(first.facts)
    return dict(zip(listed, values, strict=False))


def test_the_best_of_all_candidates_is_chosen(first, run_trials):
    losses = _make_losses(first, 0.43, 0.44, 0.45, 0.47, 0.40, 0.41)
    found, tried = run_trials(losses)
    assert tried == [*losses]
    assert found.changes["trainable"] == ("all",)
    assert found.config.model.trainable == ("all",)
    assert found.config.recipe.recipe == "none"
    assert found.not_tried == ()


def test_a_trial_that_does_not_fit_is_not_started_but_named(first, run_trials):
    losses = _make_losses(first, 0.43, 0.44, 0.45, 0.47, 0.40, 0.41)
    found, tried = run_trials(losses, budget=20)
    assert tried == [*losses][:4]
    assert found.changes["learning_rate"] == 1e-3
    assert [each.what for each in found.not_tried] == [
        "trainable all, learning rate 0.001",
        "trainable all, learning rate 0.001, one rate for all layers",
    ]
    assert any(
        line.startswith("not tried: trainable all, learning rate 0.001, which")
        for line in writing.format_lines(found)
    )
    content = writing.build_json(found)
    assert [each["what"] for each in content["not_tried"]] == [
        each.what for each in found.not_tried
    ]


def test_an_interrupted_recipe_measures_no_trial_twice(first, run_trials):
    losses = _make_losses(first, 0.43, 0.44, 0.45, 0.47, 0.40, 0.41)
    listed = [*losses]
    with pytest.raises(KeyboardInterrupt):
        run_trials(dict(list(losses.items())[:2]))
    found, tried = run_trials(losses)
    assert tried == listed[2:]
    whole = [each.log_loss for each in found.facts.trials]
    assert whole == [*losses.values()]
    _, tried = run_trials(losses)
    assert tried == []


def test_the_workdir_of_the_best_trial_alone_is_left(
    first, run_trials, tmp_path
):
    losses = _make_losses(first, 0.43, 0.44, 0.45, 0.47, 0.40, 0.41)
    found, _ = run_trials(losses)
    assert found.trial_workdir == tmp_path / "key" / [*losses][4].folder_name
    assert [*(tmp_path / "key").iterdir()] == [found.trial_workdir]


def test_the_expected_trial_may_be_preferred_again(first, run_trials):
    # Of one block each, differences have no standard error.
    losses = _make_losses(first, 0.41, 0.44, 0.45, 0.47, 0.44, 0.395)
    found, _ = run_trials(losses)
    folders = {path.name for path in found.trial_workdir.parent.iterdir()}
    assert folders == {[*losses][place].folder_name for place in (4, 5)}


def test_a_run_that_has_begun_adds_no_trial(first, run_trials):
    losses = _make_losses(first, 0.43, 0.44, 0.45, 0.47, 0.40, 0.41)
    before, _ = run_trials(losses, budget=20)
    found, tried = run_trials(losses, budget=1000, is_settled=True)
    assert (tried, found.changes) == ([], before.changes)
    assert len(found.not_tried) == 2


def test_a_trial_that_learned_from_fewer_pictures_is_not_gone_on_from(
    first, run_trials, make_facts, tmp_path
):
    few = dataclasses.replace(first, facts=make_facts(validation_pictures=40))
    found, _ = run_trials(
        _make_losses(few, 0.43, 0.44, 0.45, 0.47, 0.40, 0.41), first=few
    )
    assert found.trial_workdir is None
    assert not [*(tmp_path / "key").iterdir()]


def test_a_run_that_times_its_input_is_trained_on_its_own(
    first, run_trials, make_facts
):
    timed = dataclasses.replace(first, facts=make_facts({"cache": "auto"}))
    losses = _make_losses(timed, 0.43, 0.44, 0.45, 0.47, 0.40, 0.41)
    assert run_trials(losses, first=timed)[0].trial_workdir is None


def test_a_given_option_is_in_the_recipe_as_given(first, make_facts):
    given = make_facts({"learning_rate": 2e-4})
    with_given = dataclasses.replace(first, facts=given)
    assert {
        each.learning_rate
        for each in candidates.list_candidates(with_given.facts)
    } == {2e-4}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"learning_rate": 1e-3, "trainable": "top"}, "--trainable and --lear"),
        ({"cache": "on", "optimizer": "sgd"}, "--cache=on and --optimizer=sgd"),
        (
            {"trainable": "top", "adaptation": "lora"},
            "--trainable and --adaptation=lora",
        ),
    ],
)
def test_settings_that_leave_nothing_to_try_are_named(make_facts, given, words):
    note = decide._explain_no_trials(make_facts(given))
    assert note.startswith(f"Nothing is left to try: {words}")
    assert note.endswith("are given, or named by --recipe_skip.")
    assert not decide._explain_no_trials(make_facts({"cache": "on"}))
