"""Pareto front: networks that no other one beats in accuracy and latency."""

import math
from collections.abc import Sequence

from tf_finetune.recommendation import ranking


def find_front(rows: Sequence[ranking.Row]) -> list[bool]:
    """Returns for each row whether it is on the Pareto front.

    A row is on it if no other one is at least as accurate and at least as fast,
    and better in one of the two. Accuracies are those of the first probe, which
    all rows that have one solved on the same pictures; a row without a probe or
    a latency is not on it.
    """
    return [
        _is_comparable(row)
        and not any(_dominates(other, row) for other in rows)
        for row in rows
    ]


def compute_standard_error(row: ranking.Row) -> float:
    """Computes the standard error of the probe's accuracy, 0..0.5."""
    accuracy = row.compared_probe.accuracy
    pictures = next(each.pictures for each in row.rungs if each.probe)
    return math.sqrt(accuracy * (1 - accuracy) / pictures)


def _is_comparable(row: ranking.Row) -> bool:
    return bool(row.compared_probe and row.latency)


def _dominates(one: ranking.Row, other: ranking.Row) -> bool:
    if not _is_comparable(one):
        return False
    accuracy = one.compared_probe.accuracy, other.compared_probe.accuracy
    latency = one.latency.batch_1, other.latency.batch_1
    return (
        accuracy[0] >= accuracy[1]
        and latency[0] <= latency[1]
        and (accuracy[0] > accuracy[1] or latency[0] < latency[1])
    )
