"""The head of independent labels at its optimum."""

import numpy as np
import pytest
from scipy import special
from sklearn import linear_model, preprocessing

from tf_finetune.solvers import probe_per_label


def _data(labels: int, width: int, count: int):
    generator = np.random.default_rng(0)
    rows = generator.normal(size=[count, width])
    kernel = generator.normal(size=[width, labels]) / np.sqrt(width)
    noisy = rows @ kernel + generator.normal(size=[count, labels]) / 3
    targets = noisy > np.linspace(-0.3, 0.9, labels)
    scale = generator.uniform(0.1, 10, width)
    return (rows * scale + 5).astype("float32"), targets.astype("float32")


@pytest.mark.parametrize(("width", "count"), [(8, 200), (150, 90)])
@pytest.mark.parametrize("weight", ["none", "balanced"])
def test_each_label_is_scikit_learns_optimum(width, count, weight):
    features, targets = _data(4, width, count)
    solved = probe_per_label.solve(
        features, targets, class_weight=weight, seed=0
    )
    got = special.expit(features @ solved.kernel + solved.bias)
    standard = preprocessing.StandardScaler().fit_transform(
        features.astype("float64")
    )
    for label in range(4):
        reference = linear_model.LogisticRegression(
            C=solved.strengths[label],
            max_iter=10_000,
            tol=1e-10,
            class_weight=None if weight == "none" else "balanced",
        ).fit(standard, targets[:, label])
        np.testing.assert_allclose(
            got[:, label], reference.predict_proba(standard)[:, 1], atol=2e-4
        )


def test_each_label_has_the_strength_of_its_lowest_left_out_loss():
    features, targets = _data(3, 20, 150)
    solved = probe_per_label.solve(features, targets, seed=0)
    tried = solved.cross_validation.strengths
    losses = solved.cross_validation.losses
    best = np.array(tried)[losses.argmin(axis=0)]
    np.testing.assert_array_equal(solved.strengths, best)
    assert solved.note == ""
    # The best is no bound of what was tried.
    assert all(tried[0] < each < tried[-1] for each in solved.strengths)


def test_left_out_losses_are_those_of_solutions_without_the_fold():
    features, targets = _data(2, 5, 60)
    groups = [str(number % 30) for number in range(60)]
    solved = probe_per_label.solve(features, targets, groups=groups, seed=1)
    chance = -np.mean(
        targets * np.log(targets.mean(axis=0))
        + (1 - targets) * np.log(1 - targets.mean(axis=0)),
        axis=0,
    )
    strongest = solved.cross_validation.losses[0]
    np.testing.assert_allclose(strongest, chance, atol=0.02)
    losses = solved.cross_validation.losses
    assert (losses.min(axis=0) < chance).all()


def test_two_solutions_are_equal_to_the_bit():
    features, targets = _data(3, 200, 60)
    one, two = (
        probe_per_label.solve(features, targets, seed=4) for _ in range(2)
    )
    np.testing.assert_array_equal(one.kernel, two.kernel)
    np.testing.assert_array_equal(one.bias, two.bias)


def test_examples_of_one_group_are_judged_together():
    # Each example stands here four times; labels are noise. Divided copies
    # would be recognized, and a weak penalty would look best.
    generator = np.random.default_rng(0)
    rows = np.repeat(generator.normal(size=[40, 60]), 4, axis=0)
    targets = np.repeat(generator.uniform(size=[40, 2]) < 0.5, 4, axis=0)
    groups = [str(number // 4) for number in range(160)]
    honest = probe_per_label.solve(rows, targets, groups=groups, seed=0)
    leaky = probe_per_label.solve(rows, targets, seed=0)
    best = [each.cross_validation.losses.min() for each in (honest, leaky)]
    assert best[0] > 0.6 > 0.3 > best[1]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_label_without_both_answers_has_its_frequency(value):
    features, targets = _data(2, 5, 40)
    targets[:, 1] = value
    solved = probe_per_label.solve(features, targets, seed=0)
    got = special.expit(features @ solved.kernel + solved.bias)
    np.testing.assert_allclose(got[:, 1], (40 * value + 0.5) / 41, rtol=1e-4)
    np.testing.assert_allclose(solved.kernel[:, 1], 0.0, atol=1e-7)
    assert "1 of 2 labels" in solved.note


def test_a_label_of_one_picture_is_solved_and_noted():
    features, targets = _data(2, 80, 40)
    targets[:, 0] = 0
    targets[3, 0] = 1
    solved = probe_per_label.solve(features, targets, seed=0)
    assert np.isfinite(solved.kernel).all()
    got = special.expit(features @ solved.kernel + solved.bias)[:, 0]
    assert got.argmax() == 3
    assert solved.strengths[0] == solved.strengths[1]
    assert "1 of 2 labels" in solved.note


def test_features_that_never_change_play_no_part():
    features, targets = _data(2, 6, 60)
    features[:, 2] = 7.0
    solved = probe_per_label.solve(features, targets, seed=0)
    np.testing.assert_allclose(solved.kernel[2], 0.0, atol=1e-6)
