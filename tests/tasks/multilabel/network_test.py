"""The part of the task that needs TensorFlow."""

import keras
import numpy as np
import pytest
from scipy import special

from tf_finetune import errors
from tf_finetune.config import training_options
from tf_finetune.tasks import multilabel
from tf_finetune.tasks.multilabel import labels, network

_NETWORK = network.NETWORK


def _model() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input([4])
    logits = keras.layers.Dense(3, name="logits")(inputs)
    return keras.Model(inputs, _NETWORK.predictions(logits))


def test_predictions_are_independent_sigmoids_of_the_logits():
    model = _model()
    rows = np.random.default_rng(0).normal(0, 5, [6, 4]).astype("float32")
    logits = keras.Model(model.inputs, _NETWORK.find_logits(model))
    values = logits.predict_on_batch(rows)
    expected = 1 / (1 + np.exp(-values.astype("float64")))
    np.testing.assert_allclose(
        model.predict_on_batch(rows), expected, atol=1e-6
    )
    np.testing.assert_allclose(_NETWORK.finish(values), expected, atol=1e-6)
    assert _NETWORK.finish(values).dtype == "float32"


def test_a_model_that_ends_otherwise_is_named():
    inputs = keras.Input([4])
    other = keras.Model(inputs, keras.layers.Dense(3, "sigmoid")(inputs))
    with pytest.raises(errors.RunError, match="logits are unknown"):
        _NETWORK.find_logits(other)


def _loss(data, **options) -> np.ndarray:
    found = _NETWORK.loss(
        training_options.TrainingOptions(**options),
        data.class_names,
        labels.LABELS.describe(data),
    )
    return np.asarray(found.call([[1.0, 0.0]], [[0.5, -1.0]]))


def test_auto_is_binary_cross_entropy(data):
    expected = (np.log1p(np.exp(-0.5)) + np.log1p(np.exp(-1.0))) / 2
    np.testing.assert_allclose(_loss(data), [expected], rtol=1e-6)


def test_weights_come_from_the_training_pictures(data):
    # Of five training pictures two carry b, three carry a.
    expected = (
        5 / 4 * np.log1p(np.exp(-0.5)) + 5 / 4 * np.log1p(np.exp(-1.0))
    ) / 2
    got = _loss(data, class_weight="balanced")
    np.testing.assert_allclose(got, [expected], rtol=1e-6)


def test_every_loss_that_the_task_lists_can_be_had(data):
    values = [float(_loss(data, loss=n)[0]) for n in multilabel.TASK.losses]
    assert len(set(values)) == 3


def test_average_precision_while_training_is_that_of_the_evaluation():
    from sklearn import metrics as reference

    generator = np.random.default_rng(0)
    truth = generator.uniform(size=[400, 2]) < 0.3
    logits = generator.normal(0, 2, truth.shape) + 1.5 * truth - 1
    (metric,) = _NETWORK.metrics(("a", "b"))
    for start in range(0, 400, 64):
        rows = slice(start, start + 64)
        metric.update_state(truth[rows].astype("float32"), logits[rows])
    expected = reference.average_precision_score(
        truth, special.expit(logits), average="macro"
    )
    assert float(metric.result()) == pytest.approx(expected, abs=0.01)


def test_made_up_targets_hold_both_answers(data):
    values = _NETWORK.build_blank_targets(
        data.class_names, 4, image_size=8
    ).values
    np.testing.assert_array_equal(values, [[0, 1], [1, 0], [0, 1], [1, 0]])


def test_what_is_served_are_the_labels_at_their_thresholds():
    names = ("cat", "a|b", "caf\udce9")
    decided = multilabel.TASK.with_decision(
        {"thresholds": {"cat": 0.3, "a|b": 0.6}}
    ).network
    probabilities = np.array(
        [[0.4, 0.9, 0.1], [0.2, 0.5, 0.45], [0.1, 0.1, 0.5]], "float32"
    )
    got = decided.serve(probabilities, names)
    assert got["labels"].numpy().tolist() == [rb"cat|a\|b", b"", b"caf\xe9"]
    assert got["given"].numpy().tolist() == [
        [True, True, False],
        [False, False, False],
        [False, False, True],
    ]
    np.testing.assert_array_equal(got["probabilities"], probabilities)
    assert got["top_k_labels"].numpy()[0].tolist() == [
        b"a|b", b"cat", b"caf\xe9",
    ]  # fmt: skip


def test_classify_gives_every_label_and_its_score():
    scores = np.array([[0.2, 0.8], [0.7, 0.3]], "float32")
    got = _NETWORK.classify(scores, ("a", "b"))
    assert got["classes"].numpy().tolist() == [[b"a", b"b"]] * 2
    np.testing.assert_array_equal(got["scores"], scores)


def _drawn():
    generator = np.random.default_rng(0)
    targets = (generator.uniform(size=[6, 3]) < 0.4).astype("float32")
    return targets, generator.normal(0, 3, [6, 3]).astype("float32")


def _compute_loss(name, targets, logits, **settings):
    found = network.MultilabelLoss(name, **settings)
    return np.asarray(found.call(targets, logits))


def _formula(name, targets, logits):
    p = 1 / (1 + np.exp(-logits.astype("float64")))
    if name == "cross_entropy":
        present, absent = -np.log(p), -np.log(1 - p)
    elif name == "focal":
        present, absent = -((1 - p) ** 2) * np.log(p), -(p**2) * np.log(1 - p)
    else:
        shifted = np.maximum(p - 0.05, 0)
        present, absent = -np.log(p), -(shifted**4) * np.log(1 - shifted)
    return np.where(targets > 0, present, absent)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "asymmetric"])
def test_each_is_its_formula_averaged_over_the_labels(name):
    targets, logits = _drawn()
    expected = _formula(name, targets, logits).mean(axis=1)
    np.testing.assert_allclose(
        _compute_loss(name, targets, logits), expected, rtol=1e-5
    )


def test_weights_are_those_of_a_label_that_is_there_or_not():
    targets, logits = _drawn()
    weights = np.array([[1.0, 2.0, 0.5], [3.0, 1.0, 4.0]], "float32")
    chosen = np.where(targets > 0, weights[1], weights[0])
    expected = chosen * _formula("cross_entropy", targets, logits)
    got = _compute_loss("cross_entropy", targets, logits, class_weights=weights)
    np.testing.assert_allclose(got, expected.mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "asymmetric"])
def test_smoothing_mixes_the_losses_of_both_answers(name):
    targets, logits = _drawn()
    right, wrong = (
        _formula(name, each, logits) for each in (targets, 1 - targets)
    )
    got = _compute_loss(name, targets, logits, label_smoothing=0.2)
    np.testing.assert_allclose(
        got, (0.9 * right + 0.1 * wrong).mean(axis=1), rtol=1e-5
    )


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "asymmetric"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_extreme_logits_have_finite_losses_and_slopes_in_float32(name, dtype):
    import tensorflow as tf

    logits = tf.constant([[-200.0, -30.0, 30.0, 200.0]] * 2, dtype)
    targets = tf.constant([[1.0] * 4, [0.0] * 4], dtype)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = network.MultilabelLoss(name).call(targets, logits)
    assert loss.dtype == tf.float32
    assert np.isfinite(loss).all()
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_the_mean_over_a_batch_is_what_keras_reports():
    targets, logits = _drawn()
    got = network.MultilabelLoss("focal")(targets, logits)
    expected = _compute_loss("focal", targets, logits).mean()
    assert float(got) == pytest.approx(expected, rel=1e-6)
    assert keras.losses.Loss in type(network.MultilabelLoss("focal")).__mro__
