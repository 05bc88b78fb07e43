"""Adapters as stages: begin on trained weights, end merged, go on."""

import contextlib
import dataclasses
import logging
import types

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.adaptation import adapter_file, composition
from tf_finetune.config import options
from tf_finetune.model import assembly
from tf_finetune.runs import adapter_record, fine_tune_stage, run_plan
from tf_finetune.training import fit, optimizer_state
from tf_finetune.training.checkpoints import state_file

_STAGES = "head,top:1,lora+norm/top:2,all:1@5e-4"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Watched:
    """A stage: backbone before, after training, and merged; the optimizer."""

    before: list[np.ndarray]
    trained: list[np.ndarray]
    merged: list[np.ndarray]
    numbers: dict[str, np.ndarray]
    begun: optimizer_state.CarriedState
    ended: optimizer_state.CarriedState
    sizes: list[int]


@pytest.fixture(scope="module")
def trained(train_stages):
    """The finished stages, watched at their beginnings and ends."""
    watched = []
    fit_stage, fit_model = fine_tune_stage.fit_stage, fit.fit

    def copy(stage):
        return assembly.copy_values(stage.assembly.backbone.model.weights)

    def spy(stage, trainer, feed, **named):
        seen = {}

        def fit_and_look(model, *given, **options):
            outcome = fit_model(model, *given, **options)
            adapter = stage.adapted.adapter
            seen["trained"] = copy(stage)
            numbers = adapter.numbers if adapter else {}
            seen["numbers"] = {n: np.array(v) for n, v in numbers.items()}
            return outcome

        before, begun = copy(stage), optimizer_state.capture_state(trainer)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fit, "fit", fit_and_look)
            outcome = fit_stage(stage, trainer, feed, **named)
        (path, *_) = stage.shared.checkpoints.glob("epoch-*.checkpoint")
        saved = state_file.read(path, limit=1 << 24, within=path.parent)
        watched.append(
            _Watched(
                before=before,
                merged=copy(stage),
                begun=begun,
                ended=optimizer_state.capture_state(trainer),
                sizes=[each.size for each in saved.arrays],
                **seen,
            )
        )
        return outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fine_tune_stage, "fit_stage", spy)
        return *train_stages("whole", _STAGES), watched


def _assert_equal(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def _find_lora(context) -> tuple[str, int]:
    """Returns the adapter's name of a kernel and its place in the backbone."""
    adapter = context.stages[1].adapted.adapter
    (change, *_) = [e for e in adapter.changes if "a" in e.numbers]
    weights = context.assembly.backbone.model.weights
    (place,) = [i for i, e in enumerate(weights) if e is change.target]
    return change.site.name_number("kernel", "a").removesuffix("/a"), place


def test_an_adapter_begins_where_the_stage_before_ended(trained):
    context, _, (top, adapter, whole) = trained
    _assert_equal(adapter.before, top.merged)
    _assert_equal(whole.before, adapter.merged)
    # The last stage of the backbone had moved.
    moved = [
        np.any(a != b) for a, b in zip(top.before, top.merged, strict=True)
    ]
    assert any(moved)
    # θ trains, W₀ stands still until it is merged.
    _assert_equal(adapter.trained, adapter.before)
    name, place = _find_lora(context)
    a, b = (adapter.numbers[f"{name}/{each}"] for each in "ab")
    assert np.any(b)
    # Hu et al. 2021, section 4.1, with r = α = 4.
    change = (a @ b).reshape(adapter.before[place].shape)
    np.testing.assert_allclose(
        adapter.merged[place], adapter.before[place] + change, atol=1e-6
    )


def test_the_stage_after_it_moves_the_merged_weights(trained):
    context, result, (*_, whole) = trained
    _, place = _find_lora(context)
    assert np.any(whole.merged[place] != whole.before[place])
    kept = result.fine_tuned.weights
    count = len(whole.merged)
    _assert_equal(kept[:count], whole.merged)


def test_the_head_goes_on_with_its_optimizer_state(trained):
    *_, (top, adapter, whole) = trained
    for before, after in ((top, adapter), (adapter, whole)):
        earlier = {id(e.variable): e for e in before.ended.variables}
        same = [e for e in after.begun.variables if id(e.variable) in earlier]
        # Kernel and bias of the head.
        assert len(same) == 2
        for each in same:
            known = earlier[id(each.variable)]
            assert each.steps == known.steps > 0
            assert np.any(known.slots["_momentums"])
            for name in ("_momentums", "_velocities"):
                _assert_equal([each.slots[name]], [known.slots[name]])
        new = [
            e for e in after.begun.variables if id(e.variable) not in earlier
        ]
        assert not any(np.any(e.slots["_momentums"]) for e in new)


def test_checkpoints_of_an_adapter_leave_the_backbone_out(trained):
    context, _, (_, adapter, whole) = trained
    head = sum(v.size for v in map(np.asarray, context.assembly.head.weights))
    numbers = sum(each.size for each in adapter.numbers.values())
    total = context.assembly.backbone.model.count_params()
    assert total < sum(whole.sizes)
    # Adam keeps two moments of each; counters and seeds are few numbers.
    assert 0 <= sum(adapter.sizes) - 3 * (numbers + head) < 20


@pytest.mark.slow
def test_a_run_killed_in_an_adapter_and_at_its_end_ends_in_the_same_weights(
    train_killed_stages, trained
):
    # Where the adapter's stage has ended, it is restored and merged again.
    moments = {("lora+norm/top", 1, 1), 2}
    _, resumed = train_killed_stages(moments, "killed", _STAGES)
    _, whole, _ = trained
    assert resumed.table == whole.table
    _assert_equal(resumed.fine_tuned.weights, whole.fine_tuned.weights)


def test_plan_and_facts_name_the_methods(trained):
    context, result, _ = trained
    plan = run_plan.format_plan(context)
    for words in (
        "stage 2 of 3: lora+norm/top, at most 2 epochs, learning rate 0.002 "
        "(the default of adamw with lora + norm",
        "stage 3 of 3: all, at most 1 epoch, learning rate 0.0005 (given",
        "adaptation: top: freeze, batch norm: ",
        "; lora+norm/top: lora+norm, ",
        "the numbers are merged into the weights when the stage ends",
    ):
        assert words in plan
    rates = [each["learning_rate"] for each in result.stages]
    assert rates == [1e-3, 2e-3, 5e-4]
    assert [e["adaptation"] for e in result.stages] == [
        "freeze", "lora+norm", "freeze",
    ]  # fmt: skip


def _write_adapter(context, result, caplog):
    chosen = types.SimpleNamespace(name="fine_tune", decision={})
    kept = types.SimpleNamespace(chosen=chosen)
    figures = dict.fromkeys(context.data.splits)
    summary = types.SimpleNamespace(summary=lambda _: {})
    context = dataclasses.replace(
        context, task=types.SimpleNamespace(figures=summary)
    )
    with caplog.at_level(logging.WARNING):
        adapter_record.write_adapter(context, kept, figures)
    return context.place.path / "adapter.h5"


def test_no_adapter_is_written_where_other_stages_moved_the_backbone(
    trained, caplog
):
    context, result, _ = trained
    path = _write_adapter(context, result, caplog)
    assert not path.exists()
    assert "not the pretrained network with one adapter, for other" in (
        caplog.text
    )


def test_an_adapter_on_the_pretrained_weights_is_written(train_stages, caplog):
    context, result = train_stages("alone", "lora/top:1")
    saved = adapter_file.read(_write_adapter(context, result, caplog))
    assert saved.options.adaptation == "lora"
    assert saved.options.trainable == ("top",)
    built = composition.build_adapted(saved, "digits")
    composition.load_numbers(saved, built).merge()
    _assert_equal(
        built.model.get_weights(), context.assembly.model.get_weights()
    )


def test_the_same_adapter_twice_is_refused(prepare_run, sample_run):
    config = options.replace(
        sample_run.config, epochs=10, stages="adapter:1,lora/top:1"
    )
    with (
        contextlib.ExitStack() as held,
        pytest.raises(errors.UsageError, match="trains no weight that the"),
    ):
        prepare_run(config, sample_run.place, held)
