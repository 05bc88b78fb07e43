"""Tests of tf_finetune/recipe_search/trial_notes.py."""

import math

from tf_finetune.config import options, train_config
from tf_finetune.recipe_search import candidates, facts, trial_notes

_PROBE = facts.ProbeFacts(log_loss=None, accuracy=None, knn=0.9, majority=0.5)
_COSTS = candidates.Costs(
    load=0.1, forward=0.2, frozen_share=0.5, missing_views=3
)


def _make_key(fingerprint="data", largest_batch=None, **keywords):
    config = options.from_keywords(
        train_config.TrainConfig, {"data": "d", **keywords}
    )
    return trial_notes.make_key(config, fingerprint, largest_batch)


def test_measurements_are_read_back(tmp_path, make_trial):
    notes = trial_notes.TrialNotes(tmp_path / "notes", "key")
    trial, diverged = make_trial(0.4), make_trial(float("nan"), 3e-3)
    notes.note_probe(_PROBE, _COSTS, 7.0)
    notes.note_trial(trial, 2.5)
    notes.note_trial(diverged, 1.5)
    again = trial_notes.TrialNotes(tmp_path / "notes", "key")
    assert again.find_trial(trial.candidate) == trial
    assert math.isnan(again.find_trial(diverged.candidate).log_loss)
    assert (again.probe, again.costs) == (_PROBE, _COSTS)
    assert (again.probe_seconds, again.spent_seconds) == (7.0, 4.0)


def test_measurements_of_other_settings_are_discarded(tmp_path, make_trial):
    notes = trial_notes.TrialNotes(tmp_path, "key")
    notes.note_trial(make_trial(0.4), 1.0)
    trial = notes.folder / make_trial(0.4).candidate.folder_name
    trial.mkdir(parents=True)
    trial_notes.TrialNotes(tmp_path, "key")
    assert trial.exists()
    other = trial_notes.TrialNotes(tmp_path, "another key")
    assert not trial.exists()
    assert other.find_trial(make_trial(0.4).candidate) is None
    assert other.spent_seconds == 0


def test_damaged_notes_are_measured_anew(tmp_path, make_trial):
    (tmp_path / "trials.json").write_text('{"key": "key"')
    notes = trial_notes.TrialNotes(tmp_path, "key")
    assert notes.find_trial(make_trial(0.4).candidate) is None


def test_the_key_changes_with_settings_and_data_but_not_with_the_budget():
    assert _make_key() == _make_key(
        workdir="w", recipe="auto", recipe_budget="9s"
    )
    assert _make_key() != _make_key(epochs=3)
    assert _make_key() != _make_key(fingerprint="other")
    assert _make_key() != _make_key(largest_batch=64)
