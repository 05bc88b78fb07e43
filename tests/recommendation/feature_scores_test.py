"""Tests of tf_finetune/recommendation/feature_scores.py."""

import json

import numpy as np
import pytest

from tf_finetune.recommendation import feature_scores


def _scores(with_probe: bool, count: int = 40):
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 2
    features = generator.normal(size=[count, 6]) + 2 * labels[:, np.newaxis]
    return feature_scores.compute_scores(
        features.astype("float32"),
        labels,
        pictures_per_class=count // 2,
        groups=[str(i) for i in range(count)],
        with_probe=with_probe,
        seed=0,
    )


def test_the_probe_is_cross_validated():
    found = _scores(True)
    assert 0.8 < found.probe.accuracy <= 1
    low, high = found.probe.accuracy_interval
    assert low <= found.probe.accuracy <= high
    assert 0 < found.probe.log_loss < 0.5
    assert found.knn > 0.8


def test_without_it_there_are_the_fast_scores():
    found = _scores(False)
    assert found.probe is None
    assert found.logme == pytest.approx(_scores(True).logme)


def test_a_class_of_one_picture_has_no_probe():
    assert _scores(True, count=2).probe is None


@pytest.mark.parametrize("with_probe", [True, False])
def test_scores_survive_the_way_through_json(with_probe):
    found = _scores(with_probe)
    again = json.loads(json.dumps(found.to_json()))
    assert again == found.to_json()
    assert feature_scores.from_json(again) == found


def test_many_pictures_are_cut_to_what_a_probe_can_take():
    assert feature_scores.find_limit(1280, 2, 300) == 300
    # A matrix of 2e7 numbers at most: 7812 pictures a class.
    assert 5000 < feature_scores.find_limit(1280, 2, 10**6) <= 7812
