"""Tests of tf_finetune/tasks/regression/{network,losses,fused}.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.tasks.regression import losses, network, target_transforms
from tf_finetune.tasks.regression.rows import fused_model, fusion_parts

_GENERATOR = np.random.default_rng(0)
_TARGETS = np.stack(
    [np.exp(_GENERATOR.normal(3, 1, 50)), _GENERATOR.normal(5, 2, 50)], axis=1
)
_ROWS = 60


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
    got = losses.RegressionLoss(name).call(tf.constant(true), tf.constant(said))
    assert got.dtype == tf.float32
    errors_ = said.astype("float32") - true
    np.testing.assert_allclose(got, expected(errors_).mean(axis=1), rtol=1e-5)


def _solved() -> tuple[
    keras.Model, np.ndarray, fusion_parts.RowInputs, fusion_parts.FusionParts
]:
    keras.utils.set_random_seed(0)
    inputs = keras.Input([6, 6, 3])
    maps = keras.layers.Conv2D(4, 3)(inputs)
    extractor = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(maps))
    images = _GENERATOR.uniform(0, 255, [_ROWS, 2, 6, 6, 3]).astype("float32")
    features = np.asarray(extractor(images.reshape(-1, 6, 6, 3)))
    numbers = np.exp(_GENERATOR.normal(size=[_ROWS, 2]))
    numbers[3, 1] = np.nan
    rows = fusion_parts.RowInputs(
        features=features.reshape(_ROWS, 2, 4),
        numbers=numbers,
        words=[(str(_GENERATOR.choice(["a", "b"])), "é") for _ in range(_ROWS)],
    )
    return extractor, images, rows


def test_a_fused_model_says_what_its_parts_say_and_reloads(tmp_path):
    extractor, images, rows = _solved()
    targets = np.exp(
        rows.features[:, 0, :1] / 50
        + rows.numbers[:, :1]
        + np.array([[word[0] == "a"] for word in rows.words])
    )
    transform = target_transforms.fit_transform("log", targets, ["y"])
    solved = fusion_parts.solve_parts(
        rows,
        transform.forward(targets),
        places=("front", "back"),
        groups=[str(i) for i in range(_ROWS)],
        seed=0,
    )
    stack = fusion_parts.build_candidates(solved, transform.forward(targets))[
        "stack"
    ]
    shape = fused_model.RowShape(pictures=2, numbers=2, words=2)
    model = fused_model.build_model(extractor, solved, stack, transform, shape)
    words = [list(each) for each in rows.words]
    words[0][0] = "never seen"
    asked = fusion_parts.RowInputs(
        features=rows.features, numbers=rows.numbers, words=words
    )
    got = _saved(model, tmp_path)(
        {
            "images": tf.constant(images),
            "numbers": tf.constant(rows.numbers, tf.float32),
            "words": tf.constant(words),
        }
    )
    expected = transform.restore_units(stack(solved(asked)))
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_a_network_alone_is_the_mean_over_the_pictures(tmp_path):
    extractor, images, _ = _solved()
    transform = target_transforms.fit_transform(
        "none", np.arange(8.0).reshape(2, 4), "abcd"
    )
    model = fused_model.build_from_network(
        extractor,
        transform,
        fused_model.RowShape(pictures=2, numbers=0, words=0),
    )
    said = np.asarray(extractor(images.reshape(-1, 6, 6, 3)))
    expected = transform.restore_units(said.reshape(_ROWS, 2, 4).mean(axis=1))
    got = _saved(model, tmp_path)({"images": tf.constant(images)})
    np.testing.assert_allclose(got, expected, rtol=1e-4)
