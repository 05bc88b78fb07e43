"""Losses that compare a student with a teacher, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from tf_finetune.semi_supervised import distillation
from tf_finetune.tasks.classification import network

_T = 4.0


def _loss(kind="kd", *, exclusive=True, temperature=_T):
    return distillation.DistillationLoss(
        network.ClassificationLoss("cross_entropy"),
        kind=kind,
        temperature=temperature,
        exclusive=exclusive,
    )


def _draw(count=6, outputs=4):
    """Returns one-hot labels, logits of teacher and student, shares."""
    generator = np.random.default_rng(0)
    labels = np.eye(outputs)[generator.integers(0, outputs, count)]
    teacher, student = generator.normal(scale=3, size=[2, count, outputs])
    return labels, teacher, student, generator.uniform(size=count)


def _pack(labels, teacher, share, unlabeled=0.0):
    unlabeled = np.broadcast_to(unlabeled, share.shape)
    shares = np.stack([share, unlabeled], axis=1)
    return np.concatenate([labels, teacher, shares], axis=1)


def _kd(teacher, student):
    log_p, log_q = (
        special.log_softmax(each / _T, axis=1) for each in (teacher, student)
    )
    return (np.exp(log_p) * (log_p - log_q)).sum(axis=1)


def _binary(teacher, student):
    p, q = special.expit(teacher / _T), special.expit(student / _T)
    found = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    return found.mean(axis=1)


def _dist(teacher, student):
    p, q = (special.softmax(e / _T, axis=1) for e in (teacher, student))
    rows = [1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p, q, strict=True)]
    columns = [
        1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p.T, q.T, strict=True)
    ]
    return np.array(rows) + np.mean(columns)


_CASES = [
    ("kd", True, _kd),
    ("kd", False, _binary),
    ("dist", True, _dist),
]


@pytest.mark.parametrize(("kind", "exclusive", "expected"), _CASES)
def test_losses_follow_their_equations(kind, exclusive, expected):
    labels, teacher, student, share = _draw()
    found = _loss(kind, exclusive=exclusive).call(
        tf.constant(_pack(labels, teacher, share), tf.float32),
        tf.constant(student, tf.float32),
    )
    own = -(labels * special.log_softmax(student, axis=1)).sum(axis=1)
    wanted = (1 - share) * own + share * _T**2 * expected(teacher, student)
    np.testing.assert_allclose(found, wanted, rtol=2e-5)


@pytest.mark.parametrize(("kind", "exclusive", "expected"), _CASES)
def test_gradients_follow_their_equations(kind, exclusive, expected):
    labels, teacher, student, _ = _draw(5, 3)
    targets = _pack(labels, teacher, np.ones(5))
    logits = tf.Variable(student, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = _loss(kind, exclusive=exclusive)(
            tf.constant(targets, tf.float32), logits
        )
    found = tape.gradient(loss, logits)
    numeric = np.empty_like(student)
    for place in np.ndindex(student.shape):
        values = []
        for step in (1e-5, -1e-5):
            moved = student.copy()
            moved[place] += step
            values.append(_T**2 * expected(teacher, moved).mean())
        numeric[place] = (values[0] - values[1]) / 2e-5
    np.testing.assert_allclose(found, numeric, atol=1e-4)


@pytest.mark.parametrize("kind", ["dist", "kd"])
def test_unlabeled_pictures_follow_the_sharpened_teacher(kind):
    labels, teacher, student, _ = _draw()
    unlabeled = np.array([0, 1, 0, 1, 1, 0])
    share = np.where(unlabeled, 1.0, 0.7)
    targets = _pack(labels, teacher, share, unlabeled)
    found = _loss(kind).call(
        tf.constant(targets, tf.float32), tf.constant(student, tf.float32)
    )
    p, q = (
        special.softmax(2 * teacher, axis=1),
        special.softmax(student, axis=1),
    )
    alone = (p * np.log(p / q)).sum(axis=1)
    own = -(labels * special.log_softmax(student, axis=1)).sum(axis=1)
    compare = {"dist": _dist, "kd": _kd}[kind]
    both = 0.3 * own + 0.7 * _T**2 * compare(teacher, student)
    np.testing.assert_allclose(
        found, np.where(unlabeled, alone, both), rtol=2e-5
    )


def test_a_picture_alone_has_no_correlation_over_pictures():
    labels, teacher, student, _ = _draw(1, 4)
    logits = tf.Variable(student, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = _loss("dist")(
            tf.constant(_pack(labels, teacher, np.ones(1)), tf.float32), logits
        )
    p, q = special.softmax(np.stack([teacher[0], student[0]]) / _T, axis=1)
    assert float(loss) == pytest.approx(
        _T**2 * (1 - np.corrcoef(p, q)[0, 1]), rel=1e-4
    )
    assert np.isfinite(tape.gradient(loss, logits)).all()


@pytest.mark.parametrize("kind", ["dist", "kd"])
def test_equal_and_extreme_logits_have_finite_gradients(kind):
    logits = tf.Variable([[0.0, 0, 0], [1e4, -1e4, 0], [-1e4, 0, 1e4]])
    targets = np.array(
        [[1, 0, 0, 0, 0, 0, 1, 0], [0, 1, 0, 500, -500, 0, 0.5, 0]] * 2,
        "float32",
    )
    with tf.GradientTape() as tape:
        loss = _loss(kind)(targets[:3], logits)
    assert np.isfinite(loss)
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_a_student_equal_to_its_teacher_loses_nothing():
    labels, teacher, _, _ = _draw()
    targets = tf.constant(_pack(labels, teacher, np.ones(6)), tf.float32)
    for kind in ("dist", "kd"):
        assert float(
            _loss(kind)(targets, tf.constant(teacher, tf.float32))
        ) == pytest.approx(0, abs=1e-4)


def test_labels_alone_have_the_supervised_loss():
    labels, _, student, _ = _draw()
    logits = tf.constant(student, tf.float32)
    own = network.ClassificationLoss("cross_entropy").call(labels, logits)
    found = _loss("dist").call(tf.constant(labels, tf.float32), logits)
    np.testing.assert_array_equal(found, own)


def test_half_precision_logits_are_compared_in_float32():
    labels, teacher, student, share = _draw()
    packed = tf.constant(_pack(labels, teacher, share), tf.float32)
    half = tf.constant(student, tf.float16)
    found = _loss("dist").call(packed, half)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(
        found, _loss("dist").call(packed, tf.cast(half, tf.float32))
    )


def test_metrics_read_the_labels_of_both_kinds_of_targets():
    labels, teacher, student, share = _draw()
    right = np.mean(labels.argmax(axis=1) == student.argmax(axis=1))
    for targets in (_pack(labels, teacher, share), labels):
        metric = distillation.LabelMetric(
            keras.metrics.CategoricalAccuracy(name="accuracy")
        )
        metric.update_state(
            tf.constant(targets, tf.float32), tf.constant(student, tf.float32)
        )
        assert metric.name == "accuracy"
        assert float(metric.result()) == pytest.approx(right)
        metric.reset_state()
        assert float(metric.result()) == 0
