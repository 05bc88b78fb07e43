"""The softmax of a classifier and what it answers."""

import numpy as np
import pytest
import sample_pictures
from scipy import special

from tf_finetune import errors
from tf_finetune.config import train_config, training_options
from tf_finetune.data import examples
from tf_finetune.tasks.classification import network

_TASK = network.NETWORK


def _picture(label: str, split: str) -> examples.Picture:
    return sample_pictures.make_picture(label, label, label, split)


def test_targets_are_one_hot_in_the_order_of_the_classes():
    data = sample_pictures.make_data(
        ("b", "a"),
        (
            _picture("a", "train"),
            _picture("b", "test"),
            _picture("b", "train"),
        ),
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


_LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]], "float32")
_LABELS = np.array([[1, 0, 0], [0, 0, 1]], "float32")


def _of(name: str, labels=_LABELS, **keywords) -> np.ndarray:
    loss = network.ClassificationLoss(name, **keywords)
    return np.asarray(loss.call(labels, _LOGITS))


def test_cross_entropy_is_minus_the_log_probability_of_the_label():
    expected = -special.log_softmax(_LOGITS, axis=1)[[0, 1], [0, 2]]
    np.testing.assert_allclose(_of("cross_entropy"), expected, rtol=1e-6)


def test_label_smoothing_mixes_in_the_uniform_distribution():
    smooth = _LABELS * 0.7 + 0.1
    expected = -(smooth * special.log_softmax(_LOGITS, axis=1)).sum(axis=1)
    found = _of("cross_entropy", label_smoothing=0.3)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_focal_loss_weighs_by_the_squared_miss():
    p = special.softmax(_LOGITS, axis=1)[[0, 1], [0, 2]]
    expected = -((1 - p) ** 2) * np.log(p)
    np.testing.assert_allclose(_of("focal"), expected, rtol=1e-5)


def test_mean_squared_error_is_that_of_the_probabilities():
    p = special.softmax(_LOGITS, axis=1)
    expected = ((p - _LABELS) ** 2).mean(axis=1)
    found = _of("mean_squared_error")
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_class_weights_multiply_each_example_by_that_of_its_label():
    plain = _of("cross_entropy")
    weighted = _of("cross_entropy", class_weights=np.array([2.0, 1.0, 5.0]))
    np.testing.assert_allclose(weighted, plain * [2.0, 5.0], rtol=1e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_classes_without_pictures_are_left_out_of_the_softmax(name):
    options = training_options.TrainingOptions(
        loss=name, label_smoothing=0.1, class_weight="balanced"
    )
    described = {"classes": {"train": {"a": 3, "b": 0, "c": 1}}}
    loss = network.NETWORK.loss(options, ("a", "b", "c"), described)
    found = np.asarray(loss.call(_LABELS, _LOGITS))
    logits = _LOGITS[:, [0, 2]]
    log_p = special.log_softmax(logits, axis=1)
    if name == "focal":
        log_p *= (1 - np.exp(log_p)) ** 2
    smooth = _LABELS[:, [0, 2]] * 0.9 + 0.05
    # 4 / (2 · 3) and 4 / (2 · 1).
    expected = -(smooth * log_p).sum(axis=1) * [2 / 3, 2]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_half_precision_logits_give_a_float32_loss():
    loss = network.ClassificationLoss("cross_entropy")
    huge = np.array([[60000.0, -60000.0, 0.0]], "float16")
    found = np.asarray(loss.call(_LABELS[1:], huge))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [60000.0], rtol=1e-3)
