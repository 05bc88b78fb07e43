"""Tests of tf_finetune/tasks/regression/network.py."""

import keras
import numpy as np
import pytest
import sample_pictures
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.config import options, train_config
from tf_finetune.tasks import catalog
from tf_finetune.tasks.regression import network, target_transforms

_GENERATOR = np.random.default_rng(0)
_TARGETS = np.stack(
    [np.exp(_GENERATOR.normal(3, 1, 50)), _GENERATOR.normal(5, 2, 50)], axis=1
)


def _saved(model: keras.Model, tmp_path) -> keras.Model:
    model.save(tmp_path / "model.keras")
    return keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)


@pytest.mark.parametrize("kind", ["none", "log", "auto"])
@pytest.mark.parametrize(
    "bounds", [(), (2, 30), (2, np.inf), (-np.inf, 30)], ids=str
)
def test_the_graph_does_what_the_arrays_do_and_reloads(kind, bounds, tmp_path):
    targets = np.abs(_TARGETS) + 0.1
    transform = target_transforms.fit_transform(
        kind, targets, ["a", "b"], bounds=bounds
    )
    task = network.Network(transform)
    inputs = keras.Input([2])
    model = keras.Model(inputs, task.predictions(inputs))
    logits = _GENERATOR.normal(0, 2, [40, 2]).astype("float32")
    got = np.asarray(_saved(model, tmp_path)(logits))
    np.testing.assert_allclose(got, task.finish(logits), rtol=1e-4, atol=1e-4)
    assert got.dtype == np.float32
    if bounds:
        assert got.min() >= bounds[0] and got.max() <= bounds[1]
    assert task.find_logits(model) is model.inputs[0]


def test_training_targets_go_there_and_back():
    transform = target_transforms.fit_transform("log", _TARGETS[:, :1], ["a"])
    task = network.Network(transform)
    there = transform.forward(_TARGETS[:, :1])
    np.testing.assert_allclose(task.finish(there), _TARGETS[:, :1], rtol=1e-5)


def test_one_target_is_what_tensorflow_serving_regresses():
    values = tf.constant([[1.0], [2.0]])
    assert network.NETWORK.classify(values, ["a"])["outputs"] is values
    assert network.NETWORK.classify(tf.zeros([2, 2]), ["a", "b"]) == {}
    assert network.NETWORK.serve(values, ["a"])["values"] is values


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mean_squared_error", lambda e: e**2),
        ("mean_absolute_error", np.abs),
        ("huber", lambda e: np.where(np.abs(e) < 1, e**2 / 2, np.abs(e) - 0.5)),
    ],
)
def test_losses_are_their_formulas_in_float32(name, expected):
    true = _GENERATOR.normal(size=[7, 2]).astype("float32")
    said = (2 * _GENERATOR.normal(size=[7, 2])).astype("float16")
    got = network.RegressionLoss(name).call(
        tf.constant(true), tf.constant(said)
    )
    assert got.dtype == tf.float32
    errors_ = said.astype("float32") - true
    np.testing.assert_allclose(got, expected(errors_).mean(axis=1), rtol=1e-5)


def _adapted(kind: str, validation: float):
    skewed = np.exp(np.random.default_rng(0).normal(3, 1, 100))
    pictures = [
        sample_pictures.make_picture(
            f"{split}_{number}.png",
            (float(value),),
            f"{split}{number:060d}",
            split,
            side=8,
        )
        for split, values in (
            ("train", skewed),
            ("validation", [5.0, validation]),
        )
        for number, value in enumerate(values)
    ]
    data = sample_pictures.make_data(("price",), pictures)
    config = options.from_keywords(
        train_config.TrainConfig,
        {"data": "t.csv", "task": "regression", "target_transform": kind},
    )
    task = catalog.TASKS.get("regression").fit_to_data(data, config)
    return task.network.transform


def test_auto_takes_no_logarithm_where_any_split_has_none(caplog):
    assert _adapted("auto", 7.0).logged == (True,)
    for value in (0.0, -3.0):
        transform = _adapted("auto", value)
        assert transform.logged == (False,)
        assert np.isfinite(transform.forward(np.array([[value]]))).all()


def test_log_names_the_picture_that_has_none_whatever_its_split():
    with pytest.raises(
        errors.DataError, match=r"validation_1\.png: .*'price' is 0"
    ):
        _adapted("log", 0.0)
