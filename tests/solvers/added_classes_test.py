"""Tests of tf_finetune/solvers/added_classes.py."""

import numpy as np
import pytest
from scipy import special
from sklearn import linear_model

from tf_finetune.solvers import added_classes


def _draw(count=60, width=4, classes=3):
    random = np.random.default_rng(0)
    labels = np.arange(count) % classes
    centers = 1.5 * random.normal(size=(classes, width))
    return random.normal(size=(count, width)) + centers[labels], labels


def test_beside_one_constant_class_it_is_binary_logistic_regression():
    features, labels = _draw(classes=2)
    found = added_classes.solve_columns(
        features, labels, np.zeros([len(labels), 2]), [1], seed=0
    )
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    expected = linear_model.LogisticRegression(C=found.strength, tol=1e-10)
    expected.fit(scaled, labels)
    np.testing.assert_allclose(
        features @ found.kernel[:, 0] + found.bias[0],
        expected.decision_function(scaled),
        atol=1e-3,
    )


def test_the_new_class_is_told_from_fixed_ones():
    features, labels = _draw(count=90)
    random = np.random.default_rng(1)
    kernel, bias = random.normal(size=(4, 3)), random.normal(size=3)
    logits = features @ kernel + bias
    found = added_classes.solve_columns(features, labels, logits, [2], seed=0)
    after = logits.copy()
    after[:, [2]] = features @ found.kernel + found.bias
    truth = labels == 2
    assert ((after.argmax(axis=1) == 2) == truth).mean() > 0.9
    # At the optimum the mean probability of an unpenalized bias is the share.
    probability = special.softmax(after, axis=1)[:, 2]
    assert probability.mean() == pytest.approx(truth.mean(), abs=1e-4)


def test_class_weights_raise_the_rare_class():
    features, labels = _draw(count=90)
    rare = np.flatnonzero((labels != 2) | (np.arange(90) < 20))
    features, labels = features[rare], labels[rare]
    shares = []
    for weight in ("none", "balanced"):
        logits = np.zeros([len(labels), 3])
        found = added_classes.solve_columns(
            features, labels, logits, [2], class_weight=weight, seed=0
        )
        logits[:, [2]] = features @ found.kernel + found.bias
        shares.append(special.softmax(logits, axis=1)[:, 2].mean())
    assert shares[1] > shares[0]
