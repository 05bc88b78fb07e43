"""Tests of tf_finetune/solvers/linear_probe.py."""

import types

import numpy as np
import pytest
from scipy import special
from sklearn import linear_model, preprocessing

from tf_finetune.solvers import head_problem, linear_probe


def _data(classes: int, width: int, count: int, seed: int = 0):
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centers = generator.normal(size=[classes, width]) * 0.6
    rows = centers[labels] + generator.normal(size=[count, width])
    scale = generator.uniform(0.1, 10, width)
    return (rows * scale + 5).astype("float32"), labels


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize(("width", "count"), [(8, 100), (150, 60)])
@pytest.mark.parametrize("weight", ["none", "balanced", "effective_number"])
def test_the_solution_is_scikit_learns_optimum_on_standardized_features(
    classes, width, count, weight
):
    features, labels = _data(classes, width, count)
    keep = np.ones(count, bool)
    keep[np.flatnonzero(labels == 0)[:7]] = False
    features, labels = features[keep], labels[keep]
    solved = linear_probe.solve(features, labels, class_weight=weight, seed=0)
    standard = preprocessing.StandardScaler().fit_transform(
        features.astype("float64")
    )
    shares = np.bincount(labels) / len(labels) * classes
    weights = {
        "none": None,
        "balanced": "balanced",
        "effective_number": dict(enumerate(_scaled(labels, shares))),
    }
    reference = linear_model.LogisticRegression(
        C=solved.strengths[0],
        max_iter=10_000,
        tol=1e-10,
        class_weight=weights[weight],
    ).fit(standard, labels)
    np.testing.assert_allclose(
        special.softmax(features @ solved.kernel + solved.bias, axis=1),
        reference.predict_proba(standard),
        atol=2e-4,
    )


def _scaled(labels, shares):
    """Returns 1 / (1 - exp(-share)), its mean over the examples being 1."""
    weights = 1 / (1 - np.exp(-shares))
    return weights / weights[labels].mean()


def test_the_strength_is_the_one_with_the_lowest_left_out_log_loss():
    features, labels = _data(3, 20, 90)
    solved = linear_probe.solve(features, labels, seed=0)
    tried = solved.cross_validation
    losses = dict(zip(tried.strengths, tried.losses[:, 0], strict=True))
    assert len(losses) >= 5
    assert losses[solved.strengths[0]] == min(losses.values())
    log_p = special.log_softmax(solved.out_of_fold, axis=1)
    own = -log_p[np.arange(90), labels].mean()
    assert losses[solved.strengths[0]] == pytest.approx(own)
    assert solved.note == ""


def test_two_solutions_are_equal_to_the_bit():
    features, labels = _data(3, 200, 60)
    one, two = (linear_probe.solve(features, labels, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.kernel, two.kernel)
    np.testing.assert_array_equal(one.bias, two.bias)


def test_examples_of_one_group_are_judged_together():
    # Each example stands here four times; labels are noise. Divided copies
    # would be recognized, and the left-out accuracy would be near 1.
    generator = np.random.default_rng(0)
    rows = np.repeat(generator.normal(size=[30, 60]), 4, axis=0)
    labels = np.repeat(np.arange(30) % 2, 4)
    groups = [str(number // 4) for number in range(120)]
    honest = linear_probe.solve(rows, labels, groups=groups, seed=0)
    leaky = linear_probe.solve(rows, labels, seed=0)
    honest, leaky = (
        (each.cross_validation.left_out.argmax(axis=2) == labels).mean(axis=1)
        for each in (honest, leaky)
    )
    assert honest.max() < 0.75
    assert leaky.max() > 0.9


def test_a_class_of_one_picture_is_solved_and_noted():
    features, labels = _data(2, 5, 20)
    labels = np.zeros(20, int)
    labels[3] = 1
    solved = linear_probe.solve(features, labels, seed=0)
    assert "one picture" in solved.note
    assert np.isfinite(solved.kernel).all()
    assert solved.kernel.shape == (5, 2)


def test_features_that_never_change_play_no_part():
    features, labels = _data(2, 6, 40)
    features[:, 2] = 7.0
    features[:, 4] = 0.0
    solved = linear_probe.solve(features, labels, seed=0)
    assert np.isfinite(solved.kernel).all()
    np.testing.assert_allclose(solved.kernel[[2, 4]], 0.0, atol=1e-6)


def test_what_counts_as_small_grows_with_neither_side_alone():
    assert linear_probe.is_small(245, 256, 2)
    assert linear_probe.is_small(245, 50_000, 2)
    assert not linear_probe.is_small(1_000_000, 2048, 100)


def test_a_strength_that_is_given_is_that_of_the_solution():
    features, labels = _data(3, 20, 90)
    solved = linear_probe.solve_at_strength(features, labels, strength=0.03)
    standard = preprocessing.StandardScaler().fit_transform(
        features.astype("float64")
    )
    reference = linear_model.LogisticRegression(
        C=0.03, max_iter=10_000, tol=1e-10
    ).fit(standard, labels)
    np.testing.assert_allclose(
        special.softmax(features @ solved.kernel + solved.bias, axis=1),
        reference.predict_proba(standard),
        atol=2e-4,
    )


class _Features:
    """Features in memory, as the feature cache gives them."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def all(self) -> np.ndarray:
        return self._rows


def _solve_head(start, chosen: float) -> head_problem.Solution:
    """Adds the start to a head of which cross-validation chose a strength."""
    features, labels = _data(3, 20, 90)
    problem = types.SimpleNamespace(
        features=_Features(features),
        targets=types.SimpleNamespace(values=np.eye(3)[labels]),
        config=types.SimpleNamespace(
            training=types.SimpleNamespace(class_weight="none")
        ),
        start_strength=start,
    )
    found = head_problem.Solution(weights=(np.zeros(1),), how="solved")
    return linear_probe._add_start(problem, found, chosen)


@pytest.mark.parametrize(
    ("start", "chosen", "expected"),
    [
        # A penalty of 0.15 a picture: C = 1 / (0.15 · 90).
        ("auto", 1.0, 1 / 13.5),
        ("auto", 0.1, 1 / 13.5),
        ("auto", 0.01, None),
        (0.1, 1.0, 0.1),
        (0.1, 0.001, 0.1),
        (0.1, 0.1, None),
        ("probe", 1.0, None),
        (None, 1.0, None),
    ],
)
def test_fine_tuning_starts_from_a_stronger_penalty(start, chosen, expected):
    found = _solve_head(start, chosen)
    assert found.weights[0].shape == (1,)  # The probe stays as it is.
    if expected is None:
        assert found.start is None
        return
    features, labels = _data(3, 20, 90)
    solved = linear_probe.solve_at_strength(features, labels, strength=expected)
    np.testing.assert_allclose(found.start[0], solved.kernel, rtol=1e-5)
    np.testing.assert_allclose(found.start[1], solved.bias, rtol=1e-5)
    assert f"starts from that with C={expected:g} (--head_start_strength)" in (
        found.how
    )
