"""Tests of tf_finetune/transferability/nearest_neighbors.py."""

import math

import numpy as np
import pytest

from tf_finetune.transferability import nearest_neighbors


def _brute_force(features, labels, groups=None):
    """Counts the votes of each example by itself."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    rows = (features - mean) / deviation
    lengths = np.linalg.norm(rows, axis=1)
    keys = np.arange(len(rows)) if groups is None else np.asarray(groups)
    right = 0
    for row, length, label, key in zip(
        rows, lengths, labels, keys, strict=True
    ):
        others = np.flatnonzero(keys != key)
        cosines = rows[others] @ row / (lengths[others] * length)
        votes: dict[int, float] = {}
        for place in np.argsort(-cosines)[:5]:
            voted = int(labels[others[place]])
            votes[voted] = votes.get(voted, 0) + math.exp(cosines[place] / 0.1)
        best = max(votes.values())
        right += label == min(c for c, v in votes.items() if v == best)
    return right / len(labels)


def _data(classes, width, count):
    generator = np.random.default_rng(width)
    labels = np.arange(count) % classes
    centers = generator.normal(size=[classes, width]) * 0.5
    return centers[labels] + generator.normal(size=[count, width]), labels


@pytest.mark.parametrize(
    ("classes", "width", "count"), [(2, 7, 50), (5, 30, 80)]
)
def test_it_is_what_a_loop_over_all_pairs_finds(classes, width, count):
    features, labels = _data(classes, width, count)
    found = nearest_neighbors.compute_accuracy(features, labels)
    assert found == pytest.approx(_brute_force(features, labels))
    assert 0.3 < found < 1


def test_pictures_of_a_group_are_no_neighbors():
    features, labels = _data(3, 10, 30)
    features = np.repeat(features, 3, axis=0)
    labels, groups = np.repeat(labels, 3), np.repeat(np.arange(30), 3)
    noise = np.random.default_rng(0).normal(size=features.shape) * 1e-3
    found = nearest_neighbors.compute_accuracy(
        features + noise, labels, groups=[str(each) for each in groups]
    )
    alone = nearest_neighbors.compute_accuracy(features + noise, labels)
    assert found == pytest.approx(
        _brute_force(features + noise, labels, groups)
    )
    assert alone == 1 > found


def test_many_rows_are_compared_in_blocks():
    features, labels = _data(4, 6, 1100)
    found = nearest_neighbors.compute_accuracy(features, labels)
    assert found == pytest.approx(_brute_force(features, labels))


def test_constant_features_do_no_better_than_chance():
    labels = np.arange(20) % 2
    found = nearest_neighbors.compute_accuracy(np.ones([20, 4]), labels)
    assert found <= 0.5
