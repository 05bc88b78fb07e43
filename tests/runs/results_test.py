"""Files of a run before and after training."""

import csv
import dataclasses
import json
import types

import keras
import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.config import options
from tf_finetune.runs import candidates, results, split_evaluation
from tf_finetune.workdir import lifecycle

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


def _judged_candidate(context, name, **probabilities):
    return types.SimpleNamespace(
        name=name,
        decision={},
        evaluations={
            split: split_evaluation.compare_with_labels(
                context, split, [values]
            )
            for split, values in probabilities.items()
        },
    )


@pytest.fixture
def judged(context):
    """The fine-tuned model is right four times, the probe twice."""
    probe = _judged_candidate(context, "probe", train=_HALF, validation=_HALF)
    tuned = _judged_candidate(
        context, "fine_tuned", train=_HALF, validation=_RIGHT
    )
    return types.SimpleNamespace(
        chosen=tuned,
        facts={},
        beside={},
        fit_result=types.SimpleNamespace(probe=probe),
    )


def test_figures_of_every_split_stand_beside_their_baselines(context, judged):
    figures = results.evaluate_splits(context, judged)
    assert figures["kept"] == "fine_tuned"
    assert figures["data_fingerprint"] == "of-all-pictures"
    assert figures["validation"]["accuracy"] == 1.0
    assert figures["train"]["accuracy"] == 0.5
    beside = figures["validation"]["baselines"]
    assert beside["probe"]["accuracy"] == 0.5
    # The commonest class of the training pictures is "a".
    assert beside["majority_class"]["accuracy"] == 0.5


def test_the_figures_are_those_of_the_file(context, judged):
    figures = results.evaluate_splits(context, judged)
    written = json.loads(context.place.evaluation.read_text())
    assert written == json.loads(json.dumps(figures))


def test_predictions_are_of_pictures_that_were_not_trained_on(context, judged):
    results.evaluate_splits(context, judged)
    with context.place.predictions.open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [each.path for each in context.data.split("validation")]
    assert [row["path"] for row in rows] == expected


def test_every_split_has_a_chart(context, judged):
    results.evaluate_splits(context, judged)
    names = {path.name for path in context.place.path.glob("*.png")}
    assert names == {"confusion_train.png", "confusion_validation.png"}


def test_facts_and_candidates_of_unlabeled_pictures_are_told(context, judged):
    judged.facts = {"used": 3}
    judged.beside = {
        "supervised": _judged_candidate(
            context, "supervised", train=_HALF, validation=_HALF
        )
    }
    figures = results.evaluate_splits(context, judged)
    assert figures["unlabeled"] == {"used": 3}
    beside = figures["validation"]["baselines"]
    assert beside["supervised"]["accuracy"] == 0.5


def test_a_split_without_figures_is_evaluated_from_pictures(
    context, judged, monkeypatch
):
    asked = []
    found = judged.chosen.evaluations.pop("train")

    def evaluate(given, split, decision):
        asked.append((given is context, split, decision))
        return found

    monkeypatch.setattr(split_evaluation, "evaluate_model", evaluate)
    figures = results.evaluate_splits(context, judged)
    assert asked == [(True, "train", {})]
    assert figures["train"]["accuracy"] == 0.5


@pytest.fixture
def begun(fresh_run):
    with lifecycle.open_workdir(fresh_run.place, fresh_run.config):
        results.begin_run(fresh_run, "the plan")
        yield fresh_run


def test_a_begun_run_has_data_labels_and_plan(begun):
    place = begun.place
    assert place.labels.read_text() == "bright\ndark\n"
    assert place.plan.read_text() == "the plan\n"
    described = files.read_json(place.data_json)
    assert described["classes"]["train"] == {
        name: sum(
            picture.label == name for picture in begun.data.split("train")
        )
        for name in ("bright", "dark")
    }
    facts = files.read_json(place.run_json)
    assert facts["status"] == "begun"
    assert facts["seed"] == 3
    assert facts["data_fingerprint"] == begun.data.fingerprint
    assert facts["model"]["backbone"] == "small_cnn"
    assert facts["model"]["image_size"] == 32
    assert facts["weights"]["source"]


def test_a_run_is_not_resumed_on_other_pictures(begun):
    other = dataclasses.replace(
        begun, data=dataclasses.replace(begun.data, fingerprint="other")
    )
    with pytest.raises(errors.DataError, match=r"changed since.*--overwrite"):
        results.begin_run(other, "the plan")
    results.begin_run(begun, "the plan")  # The same ones.


def _evaluate(context, split):
    """Evaluates predictions that are right, but for the first picture."""
    labels = np.array(context.data.class_indices(context.data.split(split)))
    labels[0] = 1 - labels[0]
    predictions = np.where(np.eye(2)[labels] == 1, 0.9, 0.1)
    return split_evaluation.compare_with_labels(context, split, [predictions])


def _candidate(context, name):
    return candidates.Candidate(
        name=name,
        weights=context.assembly.model.get_weights(),
        evaluations={
            split: _evaluate(context, split) for split in context.data.splits
        },
    )


_TABLE = [
    {
        "stage": "fine_tune",
        "epoch": epoch,
        "loss": 1.0,
        "val_loss": loss,
        "val_accuracy": accuracy,
    }
    for epoch, (loss, accuracy) in enumerate(
        [(0.9, 0.5), (0.7, 0.9), (0.8, 0.9)], start=1
    )
]


@pytest.fixture
def result(begun):
    probe = _candidate(begun, "probe")
    tuned = dataclasses.replace(probe, name="fine_tune")
    return candidates.RunResult(
        fit_result=candidates.FitResult(
            probe=probe, fine_tuned=tuned, table=_TABLE, cache="on"
        ),
        chosen=tuned,
    )


def test_the_kept_epoch_is_the_last_if_asked_for(begun, result):
    config = options.replace(begun.config, keep_epoch="last")
    asked = dataclasses.replace(begun, config=config)
    assert results._find_kept_epoch(asked, result) == 2


def test_the_kept_epoch_has_the_best_figure_then_the_smallest_loss(
    begun, result
):
    assert results._find_kept_epoch(begun, result) == 1


def test_the_probe_is_of_no_epoch(begun, result):
    probe = dataclasses.replace(result, chosen=result.fit_result.probe)
    assert results._find_kept_epoch(begun, probe) is None


def test_the_epoch_of_an_objective_is_one_of_its_own(begun, result):
    table = [*_TABLE, {**_TABLE[0], "stage": "fixmatch"}]
    chosen = dataclasses.replace(result.chosen, name="fixmatch_fine_tune")
    other = dataclasses.replace(
        result,
        fit_result=dataclasses.replace(result.fit_result, table=table),
        chosen=chosen,
        facts={"objective": "fixmatch"},
    )
    assert results._find_kept_epoch(begun, other) == 3


def test_model_weights_and_history_are_saved(begun, result):
    results.save_results(begun, result)
    place, model = begun.place, begun.assembly.model
    images = np.random.default_rng(0).uniform(0, 255, [2, 32, 32, 3])
    np.testing.assert_allclose(
        keras.saving.load_model(place.model)(images), model(images), atol=1e-6
    )
    with open(place.history, newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert place.curves.is_file()
    before = model.get_weights()
    model.set_weights([0 * each for each in before])
    model.load_weights(place.weights)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_epochs_there_is_no_history(begun, result):
    probe = result.fit_result.probe
    alone = candidates.RunResult(
        fit_result=candidates.FitResult(probe=probe, fine_tuned=None, table=[]),
        chosen=probe,
    )
    results.save_results(begun, alone)
    assert not begun.place.history.exists()
    assert not begun.place.curves.exists()


def test_a_finished_run_says_what_it_kept_and_drops_checkpoints(begun, result):
    results.save_results(begun, result)
    results.finish_run(begun, result, 1.26)
    facts = files.read_json(begun.place.run_json)
    assert facts["status"] == "finished"
    assert (facts["kept"], facts["cache"]) == ("fine_tune", "on")
    assert facts["seconds"] == 1.3
    assert not begun.place.checkpoints.exists()
    # A replay takes the cache, too.
    assert "--cache=on" in begun.place.run_flags.read_text()


def test_figures_of_every_split_have_their_baselines(begun, result):
    figures = results.evaluate_splits(begun, result)
    assert [*figures] == [
        "kept",
        "data_fingerprint",
        "train",
        "validation",
        "test",
    ]
    for split in ("train", "validation", "test"):
        labels = begun.data.class_indices(begun.data.split(split))
        baselines = figures[split]["baselines"]
        trained_on = begun.data.class_indices(begun.data.split("train"))
        commonest = np.bincount(trained_on).argmax()
        assert baselines["majority_class"]["accuracy"] == pytest.approx(
            np.mean(np.array(labels) == commonest)
        )
        # The probe was wrong about one picture.
        expected = 1 - 1 / len(labels)
        assert baselines["probe"]["accuracy"] == pytest.approx(expected)
    assert json.loads(begun.place.evaluation.read_text()) == json.loads(
        json.dumps(figures)
    )


def test_predictions_are_written_of_held_out_pictures(begun, result):
    results.evaluate_splits(begun, result)
    with open(begun.place.predictions, newline="") as file:
        rows = [*csv.reader(file)][1:]
    held_out = [
        picture.path
        for split in ("validation", "test")
        for picture in begun.data.split(split)
    ]
    assert [row[0] for row in rows] == held_out


def test_a_split_that_was_not_evaluated_is_predicted(begun, result):
    evaluations = {
        split: found
        for split, found in result.chosen.evaluations.items()
        if split != "test"
    }
    chosen = dataclasses.replace(result.chosen, evaluations=evaluations)
    lacking = dataclasses.replace(result, chosen=chosen)
    kernel, bias = begun.assembly.head.weights
    kernel.assign(np.zeros(kernel.shape))
    bias.assign([9, 0])  # Every picture is answered "bright".
    figures = results.evaluate_splits(begun, lacking)
    labels = [each.label for each in begun.data.split("test")]
    assert figures["test"]["accuracy"] == pytest.approx(
        labels.count("bright") / len(labels)
    )


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
    assert results.check_gates(context, _evaluated(0.0)) is None


def test_gates_hold_on_the_test_split(make_context):
    context = make_context(_SPLITS, {"fail_below": ["accuracy:0.8"]})
    results.check_gates(context, _evaluated(0.8, validation=0.1))
    with pytest.raises(errors.GateError, match=r"accuracy.*0\.8"):
        results.check_gates(context, _evaluated(0.7, validation=0.9))


def test_gates_hold_on_validation_where_there_is_no_test_split(make_context):
    context = make_context(changes={"fail_below": ["accuracy:0.8"]})
    results.check_gates(context, _evaluated(0.0, validation=0.9))
    with pytest.raises(errors.GateError):
        results.check_gates(context, _evaluated(1.0, validation=0.7))


def test_every_missed_gate_is_named_and_where_the_results_are(make_context):
    gates = ["accuracy:0.9", "log_loss:0.1"]
    context = make_context(_SPLITS, {"fail_below": gates})
    with pytest.raises(errors.GateError) as raised:
        results.check_gates(context, _evaluated(0.5))
    text = str(raised.value)
    assert "accuracy" in text and "log_loss" in text
    assert text.endswith(
        f"(The run is finished; its results are in {context.place.path}.)"
    )


def test_a_result_that_equals_the_probe_is_not_better(make_context):
    context = make_context(_SPLITS, {"fail_if_not_better_than": "probe"})
    results.check_gates(context, _evaluated(0.9, probe=0.5))
    with pytest.raises(errors.GateError, match="the probe"):
        results.check_gates(context, _evaluated(0.5, probe=0.5))


def test_no_run_and_the_own_probe_need_no_other_workdir(make_context):
    for rival in (None, "probe"):
        context = make_context(_SPLITS, {"fail_if_not_better_than": rival})
        assert results.check_reference_run(context) is None


def test_a_run_to_beat_must_be_there_before_training(make_context, tmp_path):
    rival = str(tmp_path / "nowhere")
    context = make_context(_SPLITS, {"fail_if_not_better_than": rival})
    with pytest.raises(errors.UsageError, match="nowhere"):
        results.check_reference_run(context)


def test_a_run_to_beat_must_be_finished(make_context, tmp_path):
    rival = tmp_path / "begun"
    rival.mkdir()
    files.write_json(rival / "run.json", {"status": "begun"})
    context = make_context(_SPLITS, {"fail_if_not_better_than": str(rival)})
    with pytest.raises(errors.UsageError, match="begun"):
        results.check_reference_run(context)
