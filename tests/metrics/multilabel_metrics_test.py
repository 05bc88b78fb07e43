"""Figures of independent labels, against their definitions in numpy."""

import json

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.metrics import multilabel_metrics, ranking_metrics


def _drawn(count=80, labels=4, ties=False):
    generator = np.random.default_rng(0)
    truth = generator.uniform(size=[count, labels]) < [0.5, 0.3, 0.2, 0.1]
    scores = 0.4 * truth + 0.6 * generator.uniform(size=truth.shape)
    return truth, np.round(scores, 1) if ties else scores


def _figures(truth, scores, thresholds=(0.5, 0.4, 0.6, 0.3)):
    return multilabel_metrics.compute_metrics(
        truth,
        scores,
        thresholds=np.array(thresholds),
        names=("a", "b", "c", "d"),
        seed=0,
    )


def _average_precision(truth, scores):
    found, before = 0.0, 0.0
    for bound in np.unique(scores)[::-1]:
        entered = scores >= bound
        recall = truth[entered].sum() / truth.sum()
        found += (recall - before) * truth[entered].mean()
        before = recall
    return found


def _roc_auc(truth, scores):
    gaps = scores[truth][:, None] - scores[~truth][None, :]
    return np.mean(gaps > 0) + np.mean(gaps == 0) / 2


def _expect(truth, scores, given):
    hits = (truth & given).sum()
    return {
        "average_precision": _average_precision(truth, scores),
        "roc_auc": _roc_auc(truth, scores),
        "precision": hits / given.sum(),
        "recall": hits / truth.sum(),
        "f1": 2 * hits / (given.sum() + truth.sum()),
    }


@pytest.mark.parametrize("ties", [False, True])
def test_averages_are_over_labels_and_over_pairs(ties):
    truth, scores = _drawn(ties=ties)
    got = _figures(truth, scores)
    given = scores >= [0.5, 0.4, 0.6, 0.3]
    columns = zip(truth.T, scores.T, given.T, strict=True)
    labels = [_expect(*each) for each in columns]
    pairs = _expect(truth.ravel(), scores.ravel(), given.ravel())
    for name, value in pairs.items():
        assert got[f"micro_{name}"] == pytest.approx(value, abs=1e-9), name
        mean = np.mean([each[name] for each in labels])
        assert got[f"macro_{name}"] == pytest.approx(mean, abs=1e-9), name


def test_what_is_counted_over_pictures_and_pairs():
    truth, scores = _drawn()
    got = _figures(truth, scores)
    given = scores >= [0.5, 0.4, 0.6, 0.3]
    assert got["exact_match"] == np.mean((truth == given).all(axis=1))
    assert got["hamming_loss"] == np.mean(truth != given)
    losses = -np.log(np.where(truth, scores, 1 - scores))
    assert got["log_loss"] == pytest.approx(np.mean(losses), rel=1e-9)


def test_a_single_label_is_its_own_average():
    truth, scores = _drawn(labels=4)
    got = multilabel_metrics.compute_metrics(
        truth[:, :1],
        scores[:, :1],
        thresholds=np.array([0.5]),
        names=("a",),
        seed=0,
    )
    for name, value in _expect(
        truth[:, 0], scores[:, 0], scores[:, 0] >= 0.5
    ).items():
        assert got[f"macro_{name}"] == pytest.approx(value, abs=1e-9)
        assert got[f"micro_{name}"] == pytest.approx(value, abs=1e-9)


def test_each_label_has_its_figures_and_its_support():
    truth, scores = _drawn()
    row = _figures(truth, scores)["per_label"]["c"]
    given = scores[:, 2] >= 0.6
    assert row["support"] == truth[:, 2].sum()
    assert row["threshold"] == 0.6
    expected = _expect(truth[:, 2], scores[:, 2], given)
    assert {key: row[key] for key in expected} == pytest.approx(expected)


def test_a_label_without_support_has_no_figures_and_enters_no_mean():
    truth, scores = _drawn()
    truth[:, 3] = False
    got = _figures(truth, scores)
    row = got["per_label"]["d"]
    assert row.pop("support") == 0
    assert row.pop("threshold") == 0.3
    assert set(row.values()) == {None}
    assert got["macro_average_precision"] == pytest.approx(
        np.mean(
            [_average_precision(truth[:, i], scores[:, i]) for i in range(3)]
        )
    )
    # What was given wrongly still counts where all pairs do.
    given = scores >= [0.5, 0.4, 0.6, 0.3]
    assert got["micro_precision"] == pytest.approx(truth[given].mean())
    json.dumps(got, allow_nan=False)


def test_a_label_that_all_carry_has_no_roc_auc():
    truth, scores = _drawn()
    truth[:, 0] = True
    row = _figures(truth, scores)["per_label"]["a"]
    assert row["roc_auc"] is None
    assert row["average_precision"] == 1.0


def test_no_label_at_all_has_figures_where_they_are_defined():
    truth, scores = _drawn()
    got = _figures(np.zeros_like(truth), scores)
    assert got["macro_average_precision"] is None
    assert got["macro_average_precision_interval"] is None
    assert got["micro_f1"] is None
    assert 0 <= got["exact_match"] <= 1
    json.dumps(got, allow_nan=False)


def test_a_label_that_is_never_given_has_precision_0():
    truth, scores = _drawn()
    row = _figures(truth, scores, (2, 2, 2, 2))["per_label"]["a"]
    assert (row["precision"], row["recall"], row["f1"]) == (0, 0, 0)


def test_constant_scores_have_the_share_as_average_precision():
    truth = np.array([True, False, False, True, False])
    assert ranking_metrics.average_precision(truth, np.full(5, 0.3)) == 0.4
    assert ranking_metrics.roc_auc(truth, np.full(5, 0.3)) == 0.5


def test_by_hand():
    truth = np.array([True, False, True, False])
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    assert ranking_metrics.average_precision(truth, scores) == pytest.approx(
        (1 / 1 + 2 / 3) / 2
    )
    assert ranking_metrics.roc_auc(truth, scores) == 0.75


def test_numbers_that_are_none_name_a_remedy():
    truth, scores = _drawn()
    scores[3, 1] = np.nan
    with pytest.raises(errors.RunError, match="1 of 80.*learning_rate"):
        _figures(truth, scores)


def test_arrays_that_do_not_belong_together_are_refused():
    truth, scores = _drawn()
    with pytest.raises(ValueError, match="got"):
        _figures(truth, scores[:, :3])
    with pytest.raises(ValueError, match="logits"):
        _figures(truth, scores * 3)
    with pytest.raises(errors.DataError, match="no picture"):
        _figures(truth[:0], scores[:0])
