"""Units that hold several keys at once, divided."""

import numpy as np
import pytest

from tf_finetune.data import iterative_stratification


def test_one_key_a_unit_is_divided_exactly():
    counts = np.repeat(np.eye(3), [100, 60, 20], axis=0)
    parts = iterative_stratification.assign_parts(counts, [0.8, 0.15, 0.05])
    shares = [counts[parts == part].sum(axis=0).tolist() for part in range(3)]
    assert shares == [[80, 48, 16], [15, 9, 3], [5, 3, 1]]


def _drawn(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    often = np.array([0.5, 0.3, 0.2, 0.05, 0.02])
    common = generator.uniform(size=[400, 1]) < 0.4
    return (generator.uniform(size=[400, 5]) < often * (0.5 + common)) * 1.0


@pytest.mark.parametrize("seed", range(3))
def test_every_key_reaches_every_part_in_its_share(seed):
    counts, shares = _drawn(seed), np.array([0.7, 0.15, 0.15])
    parts = iterative_stratification.assign_parts(counts, shares)
    for part, share in enumerate(shares):
        expected = share * counts.sum(axis=0)
        got = counts[parts == part].sum(axis=0)
        assert np.abs(got - expected).max() < 2
        assert abs(np.sum(parts == part) - share * 400) < 2


def test_a_random_division_is_worse():
    counts, shares = _drawn(0), np.array([0.7, 0.15, 0.15])
    goal = np.outer(shares, counts.sum(axis=0))

    def off(parts: np.ndarray) -> float:
        got = [counts[parts == part].sum(axis=0) for part in range(3)]
        return float(np.mean(np.abs(np.stack(got) - goal)))

    random = [
        off(np.random.default_rng(seed).choice(3, 400, p=shares))
        for seed in range(20)
    ]
    assert (
        off(iterative_stratification.assign_parts(counts, shares))
        < min(random) / 2
    )


def test_units_without_a_key_fill_the_parts():
    parts = iterative_stratification.assign_parts(np.zeros([10, 2]), [0.7, 0.3])
    assert np.bincount(parts).tolist() == [7, 3]


def test_large_units_count_as_much_as_they_hold():
    counts = np.array([[8.0], [1.0], [1.0], [1.0], [1.0]])
    parts = iterative_stratification.assign_parts(counts, [0.7, 0.3])
    assert parts.tolist() == [0, 1, 1, 1, 1]
