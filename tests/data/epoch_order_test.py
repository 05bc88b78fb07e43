"""Tests of tf_finetune/data/epoch_order.py and of batches read in parts."""

import numpy as np
import pytest

from tf_finetune.data import epoch_order, split_targets
from tf_finetune.feature_cache import batches


class _Rows:
    """What `cache.store.Rows` is to a reader; a row is its own number."""

    width, dtype = 1, np.dtype("float32")

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def take(self, indices: np.ndarray) -> np.ndarray:
        return indices[:, np.newaxis].astype("float32")


@pytest.mark.parametrize("total", [1, 2, 3, 8])
def test_parts_are_never_empty_and_together_the_batch(total):
    for size in range(total, 20):
        found = []
        for first in range(total):
            part = epoch_order.Shard(first=first, total=total)
            low, high = (int(each) for each in part.compute_bounds(size))
            assert 1 <= high - low <= part.max_size(size)
            found += range(low, high)
        assert found == list(range(size))


def test_a_batch_smaller_than_the_replicas_is_everybodys():
    for first in range(4):
        part = epoch_order.Shard(first=first, total=4)
        assert [int(each) for each in part.compute_bounds(3)] == [0, 3]
        assert part.max_size(16) >= 3


def _places(part: epoch_order.Shard, count: int, size: int) -> list[list[int]]:
    found = batches.make_training_batches(
        _Rows(count),
        split_targets.ArrayTargets(np.eye(count)),
        epoch_order.BatchOrder(batch_size=size, seed=5, epochs=2, part=part),
        unpack=lambda rows: rows,
    )
    return [batch[0].numpy()[:, 0].astype(int).tolist() for batch in found]


def test_workers_read_every_row_of_an_epoch_once():
    count, size = 45, 8  # The last batch has 5.
    whole = _places(epoch_order.WHOLE, count, size)
    shares = [
        _places(epoch_order.Shard(first=first, total=3), count, size)
        for first in range(3)
    ]
    for number, batch in enumerate(whole):
        assert sum((share[number] for share in shares), []) == batch
    first_epoch = sum(whole[:6], [])
    assert sorted(first_epoch) == list(range(count))


def test_pictures_are_divided_as_rows_are():
    order = epoch_order.BatchOrder(batch_size=4, seed=5, epochs=1)
    drawn = order.draw_epoch(11, 0)
    assert drawn.shape == [3, 4]
    shares = []
    for first in range(2):
        part = epoch_order.Shard(first=first, total=2)
        found = epoch_order.take_shard(drawn, part).numpy()
        shares += [place for place in found.ravel() if place >= 0]
    assert sorted(shares) == list(range(11))


def test_a_worker_is_told_the_size_of_the_whole_batch():
    part = epoch_order.Shard(first=1, total=2)
    found = batches.make_training_batches(
        _Rows(11),
        split_targets.ArrayTargets(np.eye(11)),
        epoch_order.BatchOrder(batch_size=4, seed=5, epochs=1, part=part),
        unpack=lambda rows: rows,
    )
    assert [int(batch[2]) for batch in found] == [4, 4, 3]
