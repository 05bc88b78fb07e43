"""Fine-tuning in several stages: what goes on, and what an end may cut."""

import contextlib
import csv

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.config import options
from tf_finetune.runs import candidates, fine_tune_stage, results, run_plan
from tf_finetune.training import optimizer_state

_STAGES = "head,top:2,all:2@5e-4"


_SETTINGS = {"stages": _STAGES, "ema_momentum": 0.5}


@pytest.fixture(scope="module")
def trained(train_stages):
    """The finished stages; before and after each, its optimizer's state."""
    states = []
    fit_stage = fine_tune_stage.fit_stage

    def spy(stage, trainer, feed, **named):
        before = None
        if stage.carried:
            before = optimizer_state.capture_state(trainer)
        outcome = fit_stage(stage, trainer, feed, **named)
        states.append((before, optimizer_state.capture_state(trainer)))
        return outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fine_tune_stage, "fit_stage", spy)
        return *train_stages("whole", **_SETTINGS), states


def test_what_goes_on_moving_keeps_its_optimizer_state(trained):
    *_, ((_, kept), (begun, _)) = trained
    continued = {id(each.variable): each for each in begun.variables}
    assert len(kept.variables) < len(begun.variables)
    for each in kept.variables:
        after = continued.pop(id(each.variable))
        assert after.steps == each.steps > 0
        for name in ("_momentums", "_velocities"):
            assert np.any(each.slots[name])
            np.testing.assert_array_equal(after.slots[name], each.slots[name])
    for each in continued.values():
        assert each.steps == 0
        assert not np.any(each.slots["_momentums"])


def test_history_facts_and_plot_name_the_stages(trained):
    context, result, _ = trained
    names = [(row["stage"], row["epoch"]) for row in result.table]
    assert names == [("top", 1), ("top", 2), ("all", 1), ("all", 2)]
    with open(context.place.history) as file:
        rows = [(r["stage"], int(r["epoch"])) for r in csv.DictReader(file)]
    assert rows == names
    assert [each["name"] for each in result.stages] == ["top", "all"]
    assert [each["cache"] for each in result.stages] == ["on", "off"]
    assert [each["learning_rate"] for each in result.stages] == [1e-3, 5e-4]
    assert result.cache == "on"
    whole = candidates.RunResult(fit_result=result, chosen=result.fine_tuned)
    assert results._find_kept_epoch(context, whole) in (2, 3)


def test_the_last_stage_trained_every_layer(trained):
    _, result, _ = trained
    moved = [
        not np.array_equal(*pair)
        for pair in zip(
            result.probe.weights, result.fine_tuned.weights, strict=True
        )
    ]
    # Ten kernels of the backbone, kernel and bias of the head; no batch norm.
    assert moved.count(True) == 12


@pytest.mark.slow
def test_a_run_killed_in_every_stage_ends_in_the_same_weights(
    train_killed_stages, trained
):
    # 1: before the second stage has a checkpoint.
    moments = {("top", 0, 1), 1, ("all", 1, 0)}
    _, resumed = train_killed_stages(moments, "killed", **_SETTINGS)
    _, whole, _ = trained
    assert resumed.table == whole.table
    for one, other in zip(
        resumed.fine_tuned.weights, whole.fine_tuned.weights, strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_the_plan_shows_layers_rate_and_cache_of_each_stage(trained):
    plan = run_plan.format_plan(trained[0])
    for words in (
        "stage 1 of 2: top, at most 2 epochs, learning rate 0.001 (the",
        "stage 2 of 2: all, at most 2 epochs, learning rate 0.0005 (given; --",
        "2 stages (--stages) of at most 4 epochs in all",
        "can be cached (freeze boundary at block2_out); all: no part of",
    ):
        assert words in plan


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ("top:1,blok:1", "the stage blok, whose layers are read as"),
        ("top:1,stage3:1", "the stage stage3 trains no weight that the stage"),
        ("*_bn:1,top:1", r"the stage \*_bn trains no weight of the backbone"),
    ],
)
def test_a_stage_without_news_is_refused(
    prepare_run, sample_run, stages, words
):
    config = options.replace(sample_run.config, epochs=10, stages=stages)
    with (
        contextlib.ExitStack() as held,
        pytest.raises(errors.UsageError, match=words),
    ):
        prepare_run(config, sample_run.place, held)
