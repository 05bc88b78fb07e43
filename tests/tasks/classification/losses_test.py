"""Tests of tf_finetune/tasks/classification/losses.py."""

import numpy as np
from scipy import special

from tf_finetune.tasks.classification import losses

_LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]], "float32")
_LABELS = np.array([[1, 0, 0], [0, 0, 1]], "float32")


def _of(name: str, labels=_LABELS, **keywords) -> np.ndarray:
    loss = losses.ClassificationLoss(name, **keywords)
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


def test_half_precision_logits_give_a_float32_loss():
    loss = losses.ClassificationLoss("cross_entropy")
    huge = np.array([[60000.0, -60000.0, 0.0]], "float16")
    found = np.asarray(loss.call(_LABELS[1:], huge))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [60000.0], rtol=1e-3)
