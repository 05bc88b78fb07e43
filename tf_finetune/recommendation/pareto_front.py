"""Pareto front: networks that no other one beats in accuracy and latency."""

import math
from collections.abc import Sequence

from tf_finetune.recommendation import ranking


def find_front(rows: Sequence[ranking.Row]) -> list[bool]:
    """Marks the candidates on the Pareto front of accuracy and latency.

    A candidate is on it if no other one is at least as accurate and at least as
    fast, and better in one of the two. Accuracy is that of the first probe,
    solved on the same pictures for all; latency is that of one picture.

    Args:
        rows: Candidates with their measurements, in any order.

    Returns:
        A bool for each row, in order; False without a probe or a latency.
    """
    return [
        _is_comparable(row)
        and not any(_dominates(other, row) for other in rows)
        for row in rows
    ]


def compute_standard_error(row: ranking.Row) -> float:
    """Computes the standard error of the first probe's accuracy, 0..0.5.

    Args:
        row: A candidate with a probe.
    """
    accuracy = row.compared_probe.accuracy
    pictures = next(each.pictures for each in row.rungs if each.probe)
    # √(p(1-p)/n), of a binomial share.
    return math.sqrt(accuracy * (1 - accuracy) / pictures)


def _is_comparable(row: ranking.Row) -> bool:
    return bool(row.compared_probe and row.latency)


def _dominates(one: ranking.Row, other: ranking.Row) -> bool:
    if not _is_comparable(one):
        return False
    # Better in one of the two, so that a row does not dominate its equal.
    accuracy = one.compared_probe.accuracy, other.compared_probe.accuracy
    latency = one.latency.batch_1, other.latency.batch_1
    return (
        accuracy[0] >= accuracy[1]
        and latency[0] <= latency[1]
        and (accuracy[0] > accuracy[1] or latency[0] < latency[1])
    )
