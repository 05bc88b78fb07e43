"""The softmax of a classifier and what it answers."""

import numpy as np
import pytest
from scipy import special

from tf_finetune import errors
from tf_finetune.config import train_config
from tf_finetune.data import examples
from tf_finetune.tasks.classification import network

_TASK = network.NETWORK


def _picture(label: str, split: str) -> examples.Picture:
    return examples.Picture(
        path=label, label=label, sha256=label, width=1, height=1, split=split
    )


def test_targets_are_one_hot_in_the_order_of_the_classes():
    data = examples.ImageData(
        class_names=("b", "a"),
        pictures=(
            _picture("a", "train"),
            _picture("b", "test"),
            _picture("b", "train"),
        ),
        dropped=(),
        fingerprint="",
    )
    targets = _TASK.targets(
        data, "train", config=train_config.TrainConfig(), image_size=8
    )
    np.testing.assert_array_equal(targets.values, [[0, 1], [1, 0]])


def test_finish_is_the_softmax():
    logits = np.array([[1.0, 2.0, -3.0]], "float32")
    np.testing.assert_allclose(
        _TASK.finish(logits), special.softmax(logits, axis=1), rtol=1e-6
    )


def _model(keras):
    keras.utils.set_random_seed(0)
    inputs = keras.Input([4])
    logits = keras.layers.Dense(3, name="logits")(inputs)
    return keras.Model(inputs, _TASK.predictions(logits))


def test_logits_are_what_goes_into_the_softmax():
    keras = pytest.importorskip("keras")
    model = _model(keras)

    assert _TASK.find_logits(model) is model.get_layer("logits").output
    inputs = keras.Input([4])
    other = keras.Model(inputs, keras.layers.Dense(3, "softmax")(inputs))
    with pytest.raises(errors.RunError, match="logits are unknown"):
        _TASK.find_logits(other)


def test_what_is_served_names_the_likeliest_classes():
    probabilities = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]], "float32")

    got = _TASK.serve(probabilities, ("a", "b", "caf\udce9"))

    assert got["classes"].numpy().tolist() == [b"b", b"a"]
    assert got["top_k_classes"].numpy().tolist() == [
        [b"b", b"caf\xe9", b"a"],
        [b"a", b"caf\xe9", b"b"],
    ]
    np.testing.assert_array_equal(
        got["top_k_probabilities"],
        np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]], "float32"),
    )


def test_five_of_many_classes_are_listed():
    got = _TASK.serve(np.full([1, 9], 1 / 9, "float32"), "abcdefghi")

    assert got["top_k_classes"].numpy().tolist() == [
        [b"a", b"b", b"c", b"d", b"e"]
    ]


def test_classify_gives_every_class_and_its_score():
    scores = np.array([[0.2, 0.8], [0.7, 0.3]], "float32")

    got = _TASK.classify(scores, ("a", "b"))

    assert got["classes"].numpy().tolist() == [[b"a", b"b"]] * 2
    np.testing.assert_array_equal(got["scores"], scores)
