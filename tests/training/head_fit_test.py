"""Tests of tf_finetune/training/head_fit.py."""

import keras
import numpy as np
import pytest

from tf_finetune.config import options, train_config
from tf_finetune.data import split_targets
from tf_finetune.feature_cache import batches
from tf_finetune.feature_cache import store as stores
from tf_finetune.model import inference
from tf_finetune.solvers import head_problem as problems
from tf_finetune.solvers import linear_probe
from tf_finetune.tasks.classification import network
from tf_finetune.training import head_fit


def _data(seed: int = 0):
    """Three classes apart in raw units of very different size."""
    generator = np.random.default_rng(seed)
    labels = np.arange(120) % 3
    centers = generator.normal(size=[3, 6]) * 3
    rows = (centers[labels] + generator.normal(size=[120, 6])) * (
        10.0 ** np.arange(-2, 4)
    ) + 50
    return rows.astype("float32"), np.eye(3, dtype="float32")[labels]


@pytest.fixture
def stored(tmp_path):
    """Puts a matrix where training reads it from."""

    def put(matrix: np.ndarray) -> stores.Rows:
        names = [f"{number:064x}" for number in range(len(matrix))]
        store = stores.Store(
            tmp_path / "s", width=matrix.shape[1], dtype="float32"
        )
        if store.missing(names):
            store.put(names, matrix)
        return store.rows(names)

    return put


def _model(hidden: bool) -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [keras.Input([6])]
    if hidden:
        layers.append(keras.layers.Dense(16, activation="relu"))
    return keras.Sequential([*layers, keras.layers.Dense(3)])


def _head(way: str) -> str:
    return "mlp" if way == "mlp" else "linear"


def _problem(model, features, values, **changes) -> problems.Problem:
    loss = network.ClassificationLoss("cross_entropy")
    return problems.Problem(
        model=model,
        solver="steps" if changes.get("head") == "mlp" else "logistic",
        features=features,
        layout=batches.RowLayout(shapes=((6,),)),
        targets=split_targets.ArrayTargets(values),
        loss=loss,
        judged_by=loss,
        groups=[str(number) for number in range(len(values))],
        config=options.from_keywords(train_config.TrainConfig, changes),
    )


@pytest.mark.parametrize("way", ["exact", "by steps", "mlp"])
def test_every_way_separates_raw_features_and_leaves_the_model_alone(
    way, monkeypatch, stored
):
    if way == "by steps":
        monkeypatch.setattr(linear_probe, "is_small", lambda *sizes: False)
    features, labels = _data()
    model = _model(hidden=way == "mlp")
    before = model.get_weights()
    solution = head_fit.solve_or_train(
        _problem(model, stored(features), labels, head=_head(way))
    )
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    head_fit.set_solution(model, solution)
    logits = inference.predict_rows(model, features)
    accuracy = np.mean(logits.argmax(axis=1) == labels.argmax(axis=1))
    assert accuracy > 0.97
    assert ("logistic" in solution.how) == (way == "exact")


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({"dropout": 0.5}, 0),
        ({"dropout": 0.5, "l2": 0.1, "epochs": 0}, 2),
        ({"epochs": 0}, 0),
        ({"dropout": 0.5, "epochs": 0, "head": "mlp"}, 0),
    ],
)
def test_what_plays_no_part_in_a_solved_head_is_said(
    given, warned, monkeypatch, stored
):
    monkeypatch.setattr(head_fit, "_fit_by_steps", lambda problem: None)
    said = []
    monkeypatch.setattr(
        head_fit.logging, "warning", lambda text, *of: said.append(text % of)
    )
    features, labels = _data()
    hidden = given.get("head") == "mlp"
    head_fit.solve_or_train(
        _problem(_model(hidden), stored(features), labels, **given)
    )
    assert len(said) == warned
    assert all("has no effect: the head is solved" in text for text in said)


def test_the_same_seed_gives_the_same_head(monkeypatch, stored):
    monkeypatch.setattr(linear_probe, "is_small", lambda *sizes: False)
    # Whether it is the optimum is no question here.
    monkeypatch.setattr(head_fit, "_EPOCHS", 3)
    monkeypatch.setattr(head_fit, "_MIN_STEPS", 60)
    features, labels = _data()
    one, two = (
        head_fit.solve_or_train(
            _problem(_model(hidden=False), stored(features), labels, seed=5)
        )
        for _ in range(2)
    )
    for ours, theirs in zip(one.weights, two.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert one.how == two.how


@pytest.mark.parametrize("count", [2, 3, 50])
def test_a_single_group_is_divided_by_examples(count):
    held = head_fit._mark_held_out(["patient 7"] * count, seed=0)
    assert held.any() and not held.all()
    assert held.sum() == max(count // 5, 1)


def test_groups_are_held_out_whole():
    groups = [f"patient {number % 10}" for number in range(40)]
    held = head_fit._mark_held_out(groups, seed=0)
    assert held.sum() == 8
    assert len({g for g, h in zip(groups, held, strict=True) if h}) == 2


def test_a_head_asked_to_stop_has_the_grace_that_was_asked_for(
    monkeypatch, stored
):
    stages = []
    monkeypatch.setattr(
        head_fit.fit, "fit", lambda model, stage: stages.append(stage)
    )
    features, labels = _data()
    head_fit.solve_or_train(
        _problem(
            _model(hidden=True),
            stored(features),
            labels,
            head="mlp",
            grace_seconds=7,
        )
    )
    assert {stage.grace_seconds for stage in stages} == {7}
