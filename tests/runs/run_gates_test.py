"""Gates of a run, on figures made by hand; needs no network."""

import pytest

from tf_finetune import errors, files
from tf_finetune.runs import run_gates

_SPLITS = {"train": "ab", "validation": "ab", "test": "ab"}


def _figures(accuracy, **more):
    return {
        "accuracy": accuracy,
        "accuracy_interval": [0.0, 1.0],
        "log_loss": 0.5,
        "examples": 2,
        "correct": [True, False],
        **more,
    }


def _evaluated(test, validation=0.5, probe=0.5):
    return {
        "validation": _figures(
            validation, baselines={"probe": _figures(probe)}
        ),
        "test": _figures(test, baselines={"probe": _figures(probe)}),
    }


def test_a_run_without_gates_passes(make_context):
    context = make_context(_SPLITS)
    assert run_gates.check_gates(context, _evaluated(0.0)) is None


def test_gates_hold_on_the_test_split(make_context):
    context = make_context(_SPLITS, {"fail_below": ["accuracy:0.8"]})
    run_gates.check_gates(context, _evaluated(0.8, validation=0.1))
    with pytest.raises(errors.GateError, match=r"accuracy.*0\.8"):
        run_gates.check_gates(context, _evaluated(0.7, validation=0.9))


def test_gates_hold_on_validation_where_there_is_no_test_split(make_context):
    context = make_context(changes={"fail_below": ["accuracy:0.8"]})
    run_gates.check_gates(context, _evaluated(0.0, validation=0.9))
    with pytest.raises(errors.GateError):
        run_gates.check_gates(context, _evaluated(1.0, validation=0.7))


def test_every_missed_gate_is_named_and_where_the_results_are(make_context):
    gates = ["accuracy:0.9", "log_loss:0.1"]
    context = make_context(_SPLITS, {"fail_below": gates})
    with pytest.raises(errors.GateError) as raised:
        run_gates.check_gates(context, _evaluated(0.5))
    text = str(raised.value)
    assert "accuracy" in text and "log_loss" in text
    assert text.endswith(
        f"(The run is finished; its results are in {context.place.path}.)"
    )


def test_a_result_that_equals_the_probe_is_not_better(make_context):
    context = make_context(_SPLITS, {"fail_if_not_better_than": "probe"})
    run_gates.check_gates(context, _evaluated(0.9, probe=0.5))
    with pytest.raises(errors.GateError, match="the probe"):
        run_gates.check_gates(context, _evaluated(0.5, probe=0.5))


def test_no_run_and_the_own_probe_need_no_other_workdir(make_context):
    for rival in (None, "probe"):
        context = make_context(_SPLITS, {"fail_if_not_better_than": rival})
        assert run_gates.check_reference_run(context) is None


def test_a_run_to_beat_must_be_there_before_training(make_context, tmp_path):
    rival = str(tmp_path / "nowhere")
    context = make_context(_SPLITS, {"fail_if_not_better_than": rival})
    with pytest.raises(errors.UsageError, match="nowhere"):
        run_gates.check_reference_run(context)


def test_a_run_to_beat_must_be_finished(make_context, tmp_path):
    rival = tmp_path / "begun"
    rival.mkdir()
    files.write_json(rival / "run.json", {"status": "begun"})
    context = make_context(_SPLITS, {"fail_if_not_better_than": str(rival)})
    with pytest.raises(errors.UsageError, match="begun"):
        run_gates.check_reference_run(context)
