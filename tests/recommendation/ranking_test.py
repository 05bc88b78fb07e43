"""Tests of tf_finetune/recommendation/ranking.py, given measurements."""

import dataclasses

import pytest
import sample_pictures

from tf_finetune import errors
from tf_finetune.config import options, recommend_config
from tf_finetune.recommendation import (
    candidates,
    feature_scores,
    network_costs,
    ranking,
)
from tf_finetune.runs import time_budget


@dataclasses.dataclass
class _Measuring:
    """Networks whose quality, parameters and milliseconds are given.

    Attributes:
        quality: By label, LogME and the probe's accuracy.
        parameters: By label; 1,000 elsewhere.
        milliseconds: By label; 10 elsewhere.
        bad: Paths that cannot be decoded.
        calls: (label, pictures, with_probe) of every measurement.
        closed: Labels of those that are not needed any more.
    """

    quality: dict
    parameters: dict = dataclasses.field(default_factory=dict)
    milliseconds: dict = dataclasses.field(default_factory=dict)
    bad: tuple = ()
    calls: list = dataclasses.field(default_factory=list)
    closed: list = dataclasses.field(default_factory=list)

    def measure_sizes(self, found):
        return {
            each: network_costs.NetworkSize(
                parameters=self.parameters.get(each.label, 1000),
                multiply_adds=1,
                width=8,
            )
            for each in found
        }

    def measure_latencies(self, found):
        return {
            each: network_costs.NetworkLatency(
                batch_1=self.milliseconds.get(each.label, 10.0),
                batch_32=32 * self.milliseconds.get(each.label, 10.0),
                memory_megabytes=1.0,
            )
            for each in found
        }

    def is_known(self, candidate, pictures, *, with_probe):
        return False

    def find_undecodable(self, pictures):
        return {p.path: "damaged" for p in pictures if p.path in self.bad}

    def close(self, candidate):
        self.closed.append(candidate.label)

    def measure_scores(
        self, candidate, pictures, *, pictures_per_class, with_probe
    ):
        self.calls.append((candidate.label, len(pictures), with_probe))
        value = self.quality[candidate.label]
        probe = feature_scores.ProbeFigures(
            accuracy=value,
            accuracy_interval=(value, value),
            log_loss=1 - value,
            strength=1.0,
        )
        return feature_scores.FeatureScores(
            pictures_per_class=pictures_per_class,
            pictures=len(pictures),
            logme=value,
            knn=value,
            probe=probe if with_probe else None,
            score_seconds=0.0,
            probe_seconds=0.0,
        )


def _candidates(*labels):
    return [
        candidates.Candidate(
            backbone=label,
            weights=f"{label}.h5",
            label=label,
            image_size=224,
            published=None,
        )
        for label in labels
    ]


def _pictures(count):
    return [
        sample_pictures.make_picture(
            f"{label}/{number}", label, f"{label}{number}", side=9
        )
        for label in "ab"
        for number in range(count)
    ]


def _rank(measuring, *, count=30, seconds=None, **keywords):
    return ranking.rank_candidates(
        options.from_keywords(recommend_config.RecommendConfig, keywords),
        _candidates(*measuring.quality),
        _pictures(count),
        measuring,
        time_budget.TimeBudget(seconds, clock=lambda: 0.0),
    )


def _labels(ranked):
    return [row.candidate.label for row in ranked.rows]


_SIX = {"c": 0.7, "a": 0.9, "f": 0.4, "b": 0.8, "e": 0.5, "d": 0.6}


def test_half_of_the_networks_leave_at_each_rung():
    measuring = _Measuring(_SIX)
    ranked = _rank(measuring)
    assert _labels(ranked) == ["a", "b", "c", "d", "e", "f"]
    assert [row.dropped_at for row in ranked.rows] == [
        None, None, "20 pictures a class", *["5 pictures a class"] * 3
    ]  # fmt: skip
    assert [len(row.rungs) for row in ranked.rows] == [3, 3, 2, 1, 1, 1]
    assert ranked.pictures_per_class == 30
    assert sorted(measuring.closed) == ["c", "d", "e", "f"]
    sizes = {(number, probe) for _, number, probe in measuring.calls}
    assert sizes == {(10, False), (40, True), (60, True)}


def test_the_number_of_pictures_can_be_limited():
    ranked = _rank(_Measuring(_SIX), pictures_per_class=20)
    assert [len(row.rungs) for row in ranked.rows] == [2, 2, 2, 1, 1, 1]


def test_networks_beyond_the_limits_are_not_scored():
    measuring = _Measuring(
        {"a": 0.9, "b": 0.8, "c": 0.7},
        parameters={"a": 1_000_000},
        milliseconds={"b": 50.0},
    )
    ranked = _rank(measuring, max_mb=3.0, max_ms=20.0)
    assert [(r.candidate.label, r.dropped_at) for r in ranked.rows] == [
        ("c", None),
        ("a", "--max_mb"),
        ("b", "--max_ms"),
    ]
    assert {label for label, _, _ in measuring.calls} == {"c"}


def test_limits_that_no_network_meets_name_the_nearest():
    measuring = _Measuring({"a": 0.9}, parameters={"a": 1_000_000})
    with pytest.raises(errors.UsageError, match="the smallest has 4.0 MB"):
        _rank(measuring, max_mb=3.0)


def test_a_budget_holds_the_fastest_networks():
    measuring = _Measuring(
        {"a": 0.9, "b": 0.8, "c": 0.7},
        milliseconds={"a": 1000.0, "b": 2.0, "c": 1.0},
    )
    # 40 pictures of the slow network would take 40 seconds.
    ranked = _rank(measuring, seconds=10)
    assert _labels(ranked) == ["b", "c", "a"]
    assert ranked.rows[2].dropped_at == "--time_budget"
    assert not ranked.rows[2].rungs


def test_pictures_that_cannot_be_decoded_are_left_out():
    measuring = _Measuring({"a": 0.9, "b": 0.8}, bad=("a/3", "b/4"))
    _rank(measuring)
    assert {number for _, number, _ in measuring.calls} == {58}


def test_a_class_without_a_usable_picture_is_an_error():
    bad = tuple(f"b/{number}" for number in range(30))
    with pytest.raises(errors.DataError, match="No picture of b can be"):
        _rank(_Measuring({"a": 0.9}, bad=bad))
