"""The head of a run, fitted on features."""

import dataclasses

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.config import options
from tf_finetune.runs import head_stage, train
from tf_finetune.workdir import workdir_files


@pytest.fixture
def features(fresh_run):
    return train.extract_features(fresh_run, with_activations=False)


def test_the_head_is_the_optimum_of_its_loss(fresh_run, features):
    solution = head_stage.solve_head(fresh_run, features["train"])
    kernel, bias = solution.weights
    rows = features["train"].all().astype("float64")
    labels = np.array(
        fresh_run.data.class_indices(fresh_run.data.split("train"))
    )
    logits = rows @ kernel + bias
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    # The bias is not penalized: at the optimum its gradient, the mean of
    # prediction minus truth, vanishes.
    gradient = (probabilities - np.eye(2)[labels]).mean(axis=0)
    np.testing.assert_allclose(gradient, 0, atol=1e-3)
    assert (logits.argmax(axis=1) == labels).mean() == 1.0


def test_the_model_is_left_as_it_is_while_the_head_is_solved(
    fresh_run, features
):
    before = fresh_run.assembly.head.get_weights()
    head_stage.solve_head(fresh_run, features["train"])
    for a, b in zip(before, fresh_run.assembly.head.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_fitted_head_is_evaluated_on_every_split(fresh_run, features):
    found = head_stage.fit_head(fresh_run, features)
    kernel, bias = fresh_run.assembly.head.get_weights()
    for split in ("train", "validation", "test"):
        answers = (features[split].all() @ kernel + bias).argmax(axis=1)
        labels = fresh_run.data.class_indices(fresh_run.data.split(split))
        figures = found.evaluations[split].figures
        assert figures["accuracy"] == np.mean(answers == labels)


@pytest.mark.parametrize(
    ("changes", "solver"),
    [
        ({}, "logistic"),
        ({"head": "linear"}, "logistic"),
        ({"head": "mlp"}, "steps"),
        ({"head_layers": ("8", "relu")}, "steps"),
    ],
)
def test_a_linear_head_alone_has_a_solver(make_context, changes, solver):
    context = make_context(changes=changes)
    assert head_stage.choose_solver(context) == solver


class _OtherWorker:
    """A context of a worker that is not the chief."""

    def __init__(self, place):
        self.is_chief = False
        self.shared = place


def test_other_workers_read_the_head_of_the_chief(tmp_path):
    place = workdir_files.Workdir(tmp_path)
    place.checkpoints.mkdir()
    kernel, bias = np.arange(6.0).reshape(3, 2), np.ones(2)
    np.savez(place.checkpoints / "head.npz", **{"01": bias, "00": kernel})
    solution = head_stage.solve_head(_OtherWorker(place), None)
    np.testing.assert_array_equal(solution.weights[0], kernel)
    np.testing.assert_array_equal(solution.weights[1], bias)


def test_other_workers_start_fine_tuning_from_the_head_of_the_chief(tmp_path):
    place = workdir_files.Workdir(tmp_path)
    place.checkpoints.mkdir()
    names = ("00", "01", "start_00", "start_01")
    arrays = {name: np.full(2, float(i)) for i, name in enumerate(names)}
    np.savez(place.checkpoints / "head.npz", **arrays)
    solution = head_stage.solve_head(_OtherWorker(place), None)
    assert [each[0] for each in solution.weights] == [0.0, 1.0]
    assert [each[0] for each in solution.start] == [2.0, 3.0]


def test_the_probe_and_the_start_of_fine_tuning_have_their_own_strength(
    fresh_run, features
):
    config = options.replace(fresh_run.config, head_start_strength=1e-4)
    context = dataclasses.replace(fresh_run, config=config)
    found = head_stage.fit_head(context, features)
    probe = fresh_run.assembly.head.get_weights()
    assert np.abs(found.start[0]).sum() < np.abs(probe[0]).sum()
    # Nothing starts from the head where nothing is fine-tuned.
    config = options.replace(config, epochs=0)
    context = dataclasses.replace(fresh_run, config=config)
    alone = head_stage.fit_head(context, features)
    np.testing.assert_array_equal(alone.start[0], probe[0])


def test_a_head_that_is_damaged_is_one_sentence(tmp_path):
    place = workdir_files.Workdir(tmp_path)
    place.checkpoints.mkdir()
    (place.checkpoints / "head.npz").write_bytes(b"no archive")
    with pytest.raises(errors.RunError, match=r"head\.npz"):
        head_stage.solve_head(_OtherWorker(place), None)


@dataclasses.dataclass
class _Replicas:
    num_replicas_in_sync: int


@pytest.mark.parametrize("strategy", [None, _Replicas(1)])
def test_on_one_device_the_head_is_solved_as_it_is(strategy):
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(2)])
    assert head_stage.copy_to_one_device(model, strategy) is model


def test_a_copy_for_one_device_has_the_same_weights():
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(2)])
    copy = head_stage.copy_to_one_device(model, _Replicas(2))
    assert copy is not model
    for a, b in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    copy.layers[-1].bias.assign([7, 7])
    np.testing.assert_array_equal(model.layers[-1].bias, [0, 0])
