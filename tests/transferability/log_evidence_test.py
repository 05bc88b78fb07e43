"""Tests of tf_finetune/transferability/log_evidence.py."""

import numpy as np
import pytest
from scipy import optimize, stats

from tf_finetune.transferability import log_evidence


def _largest_evidence(features: np.ndarray, target: np.ndarray) -> float:
    """Maximizes the log density of t ~ N(0, FFᵀ/alpha + 1/beta) directly."""

    def loss(logarithms: np.ndarray) -> float:
        alpha, beta = np.exp(logarithms)
        covariance = features @ features.T / alpha + np.eye(len(target)) / beta
        density = stats.multivariate_normal(
            np.zeros(len(target)), covariance, allow_singular=True
        )
        return -density.logpdf(target)

    found = [
        optimize.minimize(
            loss, start, method="Nelder-Mead", options={"maxiter": 2000}
        )
        for start in ([0, 0], [3, 3], [-3, 2])
    ]
    return -min(each.fun for each in found) / len(target)


def _data(classes: int, width: int, count: int):
    generator = np.random.default_rng(width)
    labels = np.arange(count) % classes
    centers = generator.normal(size=[classes, width])
    return centers[labels] + generator.normal(size=[count, width]), labels


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize(("width", "count"), [(6, 40), (40, 40), (90, 30)])
def test_it_is_the_largest_evidence_averaged_over_classes(
    classes, width, count
):
    features, labels = _data(classes, width, count)
    wanted = np.mean(
        [
            _largest_evidence(features, (labels == each).astype("float64"))
            for each in range(classes)
        ]
    )
    found = log_evidence.compute_log_evidence(features, labels)
    assert found == pytest.approx(wanted, abs=2e-4)


@pytest.mark.parametrize("size", [1e-18, 1e-3, 1e6])
def test_the_scale_of_all_features_does_not_matter(size):
    features, labels = _data(3, 20, 60)
    found = log_evidence.compute_log_evidence(features * size, labels)
    usual = log_evidence.compute_log_evidence(features, labels)
    assert found == pytest.approx(usual, rel=1e-6)


def test_features_that_explain_the_labels_beat_features_that_do_not():
    features, labels = _data(3, 20, 60)
    shuffled = np.random.default_rng(0).permutation(labels)
    good = log_evidence.compute_log_evidence(features, labels)
    assert good > log_evidence.compute_log_evidence(features, shuffled) + 0.1


def test_constant_features_have_a_finite_value():
    labels = np.arange(12) % 3
    for features in (np.zeros([12, 5]), np.ones([12, 5])):
        assert np.isfinite(log_evidence.compute_log_evidence(features, labels))


def test_classes_that_do_not_occur_are_left_out():
    features, labels = _data(2, 8, 30)
    found = log_evidence.compute_log_evidence(features, labels * 7)
    usual = log_evidence.compute_log_evidence(features, labels)
    assert found == pytest.approx(usual)
