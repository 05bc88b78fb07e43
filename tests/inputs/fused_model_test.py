"""Tests of tf_finetune/inputs/fused_model.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.config import data_options
from tf_finetune.inputs import (
    fused_model,
    fusion_parts,
    head_solvers,
    input_protocol,
)
from tf_finetune.tasks.classification import network as classification
from tf_finetune.tasks.multilabel import network as multilabel
from tf_finetune.tasks.regression import network, target_transforms

_GENERATOR = np.random.default_rng(0)
_ROWS = 60
_INPUTS = input_protocol.list_inputs(
    data_options.DataOptions(
        image_column=("front", "back"),
        numeric_columns=("size", "shift"),
        categorical_columns=("kind", "kind:1"),
    )
)


def _save(model: keras.Model, tmp_path) -> keras.Model:
    model.save(tmp_path / "model.keras")
    return keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)


def _draw() -> tuple[keras.Model, np.ndarray, dict[str, np.ndarray]]:
    """Returns an extractor, images and the values of rows."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input([6, 6, 3])
    maps = keras.layers.Conv2D(4, 3)(inputs)
    extractor = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(maps))
    images = _GENERATOR.uniform(0, 255, [_ROWS, 2, 6, 6, 3]).astype("float32")
    features = np.asarray(extractor(images.reshape(-1, 6, 6, 3)))
    numbers = np.exp(_GENERATOR.normal(size=[_ROWS, 2]))
    numbers[3, 1] = np.nan
    words = [(str(_GENERATOR.choice(["ax", "b"])), "é") for _ in range(_ROWS)]
    return (
        extractor,
        images,
        {
            "images": features.reshape(_ROWS, -1),
            "numbers": numbers,
            "words": np.array(words, object),
        },
    )


def _make_task(kind: str, values) -> tuple:
    """Returns the network of a task and targets for its solver."""
    score = values["images"][:, :1] / 50 + np.nan_to_num(
        values["numbers"][:, :1]
    )
    score = score + (values["words"][:, :1] == "ax")
    if kind == "ridge":
        prices = np.exp(score)
        transform = target_transforms.fit_transform("log", prices, ["y"])
        return network.Network(transform), transform.forward(prices)
    above = (score > np.median(score)).astype("float64")
    if kind == "logistic":
        return classification.NETWORK, np.concatenate([above, 1 - above], 1)
    return multilabel.NETWORK, np.concatenate([above, 1 - above], 1)


@pytest.mark.parametrize("kind", ["ridge", "logistic", "logistic_per_label"])
def test_a_fused_model_says_what_its_parts_say_and_reloads(kind, tmp_path):
    extractor, images, values = _draw()
    task, targets = _make_task(kind, values)
    solver = head_solvers.find_solver(kind)
    parts = fusion_parts.solve_parts(
        _INPUTS,
        values,
        targets,
        solver=solver,
        groups=[str(i) for i in range(_ROWS)],
        seed=0,
    )
    stack = fusion_parts.build_candidates(parts, targets, solver)["stack"]
    model = fused_model.build_model(
        _INPUTS, extractor, parts, stack, task.predictions
    )
    words = values["words"].copy()
    words[0, 0] = "never seen"
    got = _save(model, tmp_path)(
        {
            "images": tf.constant(images),
            "numbers": tf.constant(values["numbers"], tf.float32),
            "words": tf.constant(words.tolist()),
        }
    )
    said = parts.compute_logits({**values, "words": words})
    expected = task.finish(stack(said))
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)


def test_a_network_alone_is_the_mean_over_the_pictures(tmp_path):
    extractor, images, _ = _draw()
    transform = target_transforms.fit_transform(
        "none", np.arange(8.0).reshape(2, 4), "abcd"
    )
    model = fused_model.build_from_network(
        _INPUTS[:1], extractor, network.Network(transform).predictions
    )
    said = np.asarray(extractor(images.reshape(-1, 6, 6, 3)))
    expected = transform.restore_units(said.reshape(_ROWS, 2, 4).mean(axis=1))
    got = _save(model, tmp_path)({"images": tf.constant(images)})
    np.testing.assert_allclose(got, expected, rtol=1e-4)
