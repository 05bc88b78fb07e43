"""Fine-tuning in several stages: what goes on, and what an end may cut."""

import contextlib
import csv
import dataclasses

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.config import options
from tf_finetune.data import scan
from tf_finetune.model import assembly
from tf_finetune.runs import candidates, results, run_plan, run_preparation
from tf_finetune.runs import staged_fine_tuning as staged
from tf_finetune.runs import train as runs
from tf_finetune.tasks import catalog as tasks
from tf_finetune.training import optimizer_state
from tf_finetune.training.checkpoints import checkpoint_callback
from tf_finetune.workdir import workdir_files

_STAGES = "head,top:2,all:2@5e-4"


class _Killed(Exception):
    pass


def _prepare(config, place, held):
    inspected = scan.list_and_inspect(
        config.data,
        tasks.TASKS.get("classification").labels,
        cache_dir=config.output.cache_folder,
    )
    return run_preparation.prepare_run(config, inspected, place, held)


@pytest.fixture(scope="module")
def staged_run(sample_run):
    """The context of a run of two stages, not trained yet."""
    config = options.replace(
        sample_run.config,
        epochs=10,
        stages=_STAGES,
        cache="on",
        dropout=0.2,
        ema_momentum=0.5,
        checkpoint_every_steps=1,
    )
    with contextlib.ExitStack() as held:
        yield _prepare(config, sample_run.place, held)


@pytest.fixture(scope="module")
def train_at(staged_run, tmp_path_factory):
    """Trains in a workdir of the given name, from the pretrained weights."""
    # Seeds of dropout are variables, too, but no weights.
    variables = staged_run.assembly.trainer.variables
    before = assembly.copy_values(variables)

    def train(name):
        assembly.assign_values(variables, before)
        place = workdir_files.Workdir(tmp_path_factory.getbasetemp() / name)
        place.checkpoints.mkdir(parents=True, exist_ok=True)
        context = dataclasses.replace(staged_run, place=place, shared=place)
        return context, runs.run_stages(context)

    return train


@pytest.fixture(scope="module")
def trained(train_at):
    """The finished stages; before and after each, its optimizer's state."""
    states = []
    fit_stage = staged._fit_stage

    def spy(stage, name, trainer, feed, table):
        before = None
        if stage.carried:
            before = optimizer_state.capture_state(trainer)
        outcome = fit_stage(stage, name, trainer, feed, table)
        states.append((before, optimizer_state.capture_state(trainer)))
        return outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staged, "_fit_stage", spy)
        return *train_at("whole"), states


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
    train_at, trained, monkeypatch
):
    save, killed = checkpoint_callback.CheckpointCallback._save, set()
    capture = optimizer_state.capture_state

    def save_and_die(keeper, place, sums):
        save(keeper, place, sums)
        die_at((place.stage, place.epoch, place.step))

    def die_at(moment):
        moments = {("top", 0, 1), ("top", "end"), ("all", 1, 0)}
        if moment in moments - killed:
            killed.add(moment)
            raise _Killed

    def capture_and_die(trainer):
        # Before the second stage has a checkpoint.
        die_at(("top", "end"))
        return capture(trainer)

    monkeypatch.setattr(
        checkpoint_callback.CheckpointCallback, "_save", save_and_die
    )
    monkeypatch.setattr(optimizer_state, "capture_state", capture_and_die)
    for _ in range(3):
        with pytest.raises(_Killed):
            train_at("killed")
    _, resumed = train_at("killed")
    _, whole, _ = trained
    assert resumed.table == whole.table
    for one, other in zip(
        resumed.fine_tuned.weights, whole.fine_tuned.weights, strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_the_plan_shows_layers_rate_and_cache_of_each_stage(staged_run):
    plan = run_plan.format_plan(staged_run)
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
def test_a_stage_without_news_is_refused(sample_run, stages, words):
    config = options.replace(sample_run.config, epochs=10, stages=stages)
    with (
        contextlib.ExitStack() as held,
        pytest.raises(errors.UsageError, match=words),
    ):
        _prepare(config, sample_run.place, held)
