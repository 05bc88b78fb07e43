"""Losses of labels, beside their formulas in numpy."""

import keras
import numpy as np
import pytest

from tf_finetune.tasks.multilabel import losses


def _drawn():
    generator = np.random.default_rng(0)
    targets = (generator.uniform(size=[6, 3]) < 0.4).astype("float32")
    return targets, generator.normal(0, 3, [6, 3]).astype("float32")


def _loss(name, targets, logits, **settings):
    found = losses.MultilabelLoss(name, **settings)
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
        _loss(name, targets, logits), expected, rtol=1e-5
    )


def test_weights_are_those_of_a_label_that_is_there_or_not():
    targets, logits = _drawn()
    weights = np.array([[1.0, 2.0, 0.5], [3.0, 1.0, 4.0]], "float32")
    chosen = np.where(targets > 0, weights[1], weights[0])
    expected = chosen * _formula("cross_entropy", targets, logits)
    got = _loss("cross_entropy", targets, logits, class_weights=weights)
    np.testing.assert_allclose(got, expected.mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "asymmetric"])
def test_smoothing_mixes_the_losses_of_both_answers(name):
    targets, logits = _drawn()
    right, wrong = (
        _formula(name, each, logits) for each in (targets, 1 - targets)
    )
    got = _loss(name, targets, logits, label_smoothing=0.2)
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
        loss = losses.MultilabelLoss(name).call(targets, logits)
    assert loss.dtype == tf.float32
    assert np.isfinite(loss).all()
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_the_mean_over_a_batch_is_what_keras_reports():
    targets, logits = _drawn()
    got = losses.MultilabelLoss("focal")(targets, logits)
    expected = _loss("focal", targets, logits).mean()
    assert float(got) == pytest.approx(expected, rel=1e-6)
    assert keras.losses.Loss in type(losses.MultilabelLoss("focal")).__mro__
