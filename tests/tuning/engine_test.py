"""Draws and pruning of the engine."""

import fake_trials
import numpy as np
import pytest

from tf_finetune.config import search_space
from tf_finetune.tuning import engine

optuna = pytest.importorskip("optuna")

_ENTRIES = (
    "learning_rate:log:1e-4..1e-1", "dropout:0..0.5", "epochs:2..5",
    "batch_size:log:8..64", "trainable:top|all",
)  # fmt: skip


def _draw(seed, count):
    dimensions = search_space.parse_search(_ENTRIES)
    study = optuna.create_study(
        sampler=engine.make_sampler(dimensions, seed),
        storage=optuna.storages.InMemoryStorage(),
    )
    found = []
    for number in range(count):
        trial = study.ask()
        found.append(
            engine.suggest(trial, engine.make_distributions(dimensions))
        )
        study.tell(trial, float(number % 3))
    return found


def test_draws_lie_in_the_space_and_are_all_different():
    found = _draw(0, 14)
    assert all(1e-4 <= each["learning_rate"] <= 1e-1 for each in found)
    assert all(0 <= each["dropout"] <= 0.5 for each in found)
    assert {each["epochs"] for each in found} <= {2, 3, 4, 5}
    assert all(8 <= each["batch_size"] <= 64 for each in found)
    assert {each["trainable"] for each in found} == {"top", "all"}
    assert len({str(each) for each in found}) == 14
    # Draws of a logarithm: half of them below the geometric mean.
    below = np.mean([each["learning_rate"] < 10**-2.5 for each in found])
    assert 0.1 < below < 0.9


def test_a_seed_determines_the_draws():
    assert _draw(3, 12) == _draw(3, 12)
    assert _draw(3, 2) != _draw(4, 2)


@pytest.mark.parametrize("pruner", ["hyperband", "none"])
def test_a_study_has_the_pruner_that_it_names(keywords, report, pruner):
    start = fake_trials.FakeStart()
    changes = {"pruner": pruner, "trials": 3}
    found = fake_trials.run_study(start, report, **{**keywords, **changes})
    assert {e["outcome"] for e in found.content["trials"]} == {"finished"}
