"""Tests of tf_finetune/recommendation/halving.py."""

import pytest

from tf_finetune.recommendation import halving


@pytest.mark.parametrize(
    ("candidates", "last", "rungs"),
    [
        (40, 300, (5, 20, 300)),
        (5, 300, (5, 20, 300)),
        (4, 300, (20, 300)),
        (3, 20, (20,)),
        (6, 10, (5, 10)),
        (6, 4, (4,)),
        (2, 300, (300,)),
        (1, 7, (7,)),
    ],
)
def test_rungs_rise_to_the_last(candidates, last, rungs):
    assert halving.plan_rungs(candidates, last) == rungs


@pytest.mark.parametrize(
    ("candidates", "kept"), [(1, 1), (2, 2), (3, 2), (4, 2), (5, 3), (40, 20)]
)
def test_half_of_the_candidates_survive_two_at_least(candidates, kept):
    assert halving.count_survivors(candidates) == kept


def test_mean_ranks_are_those_of_a_table_made_by_hand():
    ranks = halving.compute_mean_ranks(
        {"one": [0.1, 0.3, 0.2], "other": [5.0, 5.0, 4.0]}
    )
    # Ranks 3, 1, 2 and 1.5, 1.5, 3.
    assert ranks == [2.25, 1.25, 2.5]


def test_a_criterion_that_one_candidate_lacks_does_not_count():
    ranks = halving.compute_mean_ranks(
        {"one": [0.1, 0.3], "imagenet": [80.0, None]}
    )
    assert ranks == [2.0, 1.0]
