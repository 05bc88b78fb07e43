"""Intervals of average precision, beside scikit-learn's."""

import numpy as np
from scipy import stats
from sklearn import metrics

from tf_finetune.metrics import ranking_metrics


def _drawn(count=80, labels=4):
    generator = np.random.default_rng(0)
    truth = generator.uniform(size=[count, labels]) < [0.5, 0.3, 0.2, 0.1]
    scores = 0.4 * truth + 0.6 * generator.uniform(size=truth.shape)
    return truth, scores


def test_the_interval_is_the_bias_corrected_bootstraps():
    truth, scores = _drawn()
    low, high = ranking_metrics.bootstrap_macro_interval(truth, scores, seed=3)
    generator = np.random.default_rng(1)
    means = []
    for _ in range(400):
        rows = generator.integers(0, len(truth), len(truth))
        supported = truth[rows].any(axis=0)
        means.append(
            metrics.average_precision_score(
                truth[rows][:, supported], scores[rows][:, supported]
            )
        )
    whole = metrics.average_precision_score(truth, scores)
    bias = stats.norm.ppf(np.mean(np.array(means) < whole))
    shares = stats.norm.cdf([2 * bias - 1.96, 2 * bias + 1.96])
    expected = np.quantile(means, shares)
    np.testing.assert_allclose([low, high], expected, atol=0.02)
    assert [low, high] == ranking_metrics.bootstrap_macro_interval(
        truth, scores, seed=3
    )
    assert [low, high] != ranking_metrics.bootstrap_macro_interval(
        truth, scores, seed=4
    )


def test_a_perfect_ranking_has_an_interval_without_width():
    truth, _ = _drawn()
    got = ranking_metrics.bootstrap_macro_interval(truth, truth * 1.0, seed=0)
    assert got == [1.0, 1.0]


def test_scores_of_chance_have_the_share_of_the_labels_within():
    generator = np.random.default_rng(5)
    truth = generator.uniform(size=[150, 3]) < 0.2
    scores = generator.uniform(size=truth.shape)
    low, high = ranking_metrics.bootstrap_macro_interval(truth, scores, seed=0)
    assert low < 0.2 < high


def test_large_data_are_drawn_in_blocks(monkeypatch):
    truth, scores = _drawn()
    whole = ranking_metrics.bootstrap_macro_interval(truth, scores, seed=0)
    monkeypatch.setattr(ranking_metrics, "_HELD", 80 * 7)
    assert (
        ranking_metrics.bootstrap_macro_interval(truth, scores, seed=0) == whole
    )
