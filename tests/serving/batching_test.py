"""Tests of tf_finetune/serving/batching.py, without a model."""

import concurrent.futures
import threading
import time

import numpy as np
import pytest

from tf_finetune.serving import batching, failures


class Doubling:
    """A function that doubles, notes its batches and waits to be allowed."""

    def __init__(self):
        self.batches = []
        self.allowed = threading.Event()
        self.allowed.set()
        self.entered = threading.Event()

    def __call__(self, signature, inputs):
        self.entered.set()
        assert self.allowed.wait(30)
        self.batches.append((signature, len(inputs["x"])))
        if (inputs["x"] < 0).any():
            raise failures.RequestError(400, "negative")
        return {"y": inputs["x"] * 2}


@pytest.fixture
def make():
    """A function that starts a batcher, which the test's end closes."""
    started = []

    def build(run, size=4, delay=0.0, queued=100):
        limits = batching.BatchLimits(
            max_batch_size=size,
            max_delay_seconds=delay,
            max_queued_rows=queued,
            max_batch_weight=10,
        )
        started.append(batching.Batcher(run, limits))
        return started[-1]

    yield build
    for batcher in started:
        batcher.close()


def _rows(*values):
    return {"x": np.array(values, "float32")}


def _while_busy(batcher, run, requests):
    """Sends requests that all wait while a first one is computed."""
    run.allowed.clear()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        first = pool.submit(batcher.answer, "s", _rows(0))
        assert run.entered.wait(30)
        futures = []
        for request in requests:
            futures.append(pool.submit(batcher.answer, *request))
            _until_queued(batcher, len(futures))
        run.allowed.set()
        first.result(30)
        concurrent.futures.wait(futures, 30)
    return futures


def _until_queued(batcher, count):
    until = time.monotonic() + 30
    while len(batcher._waiting) < count:
        assert time.monotonic() < until
        time.sleep(0.001)


def test_each_request_gets_its_own_rows(make):
    run = Doubling()
    futures = _while_busy(make(run), run, [("s", _rows(1, 2)), ("s", _rows(3))])
    np.testing.assert_array_equal(futures[0].result()["y"], [2, 4])
    np.testing.assert_array_equal(futures[1].result()["y"], [6])


def test_what_waits_is_computed_in_one_batch(make):
    run = Doubling()
    _while_busy(make(run), run, [("s", _rows(1))] * 4)
    assert run.batches == [("s", 1), ("s", 4)]


def test_no_batch_is_larger_than_allowed(make):
    run = Doubling()
    _while_busy(make(run, size=2), run, [("s", _rows(1))] * 5)
    assert [rows for _, rows in run.batches] == [1, 2, 2, 1]


def test_other_signatures_and_shapes_are_not_mixed(make):
    run = Doubling()
    wide = {"x": np.zeros([1, 3], "float32")}
    _while_busy(
        make(run),
        run,
        [("s", _rows(1)), ("t", _rows(1)), ("s", wide), ("s", _rows(1))],
    )
    assert run.batches == [("s", 1), ("s", 2), ("t", 1), ("s", 1)]


def test_what_must_be_alone_is_not_mixed_with_others(make):
    run = Doubling()
    batcher = make(run)
    run.allowed.clear()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher.answer, "s", _rows(0))
        assert run.entered.wait(30)
        for count, alone in enumerate((True, False, True, False), 1):
            pool.submit(batcher.answer, "s", _rows(1, 2), alone=alone)
            _until_queued(batcher, count)
        run.allowed.set()
        first.result(30)
    assert [rows for _, rows in run.batches] == [1, 2, 4, 2]


def test_a_large_request_is_computed_in_parts_and_put_together(make):
    run = Doubling()
    values = np.arange(10, dtype="float32")
    answer = make(run).answer("s", {"x": values})
    np.testing.assert_array_equal(answer["y"], values * 2)
    assert [rows for _, rows in run.batches] == [4, 4, 2]


def test_parts_of_other_sizes_are_filled_up(make):
    def run(signature, inputs):
        side = int(inputs["x"].max())
        return {"masks": np.full([len(inputs["x"]), side, 2], side)}

    batcher = make(run, size=2)
    found = batcher.answer("s", _rows(1, 1, 3))["masks"]
    assert found.shape == (3, 3, 2)
    np.testing.assert_array_equal(found[0, :, 0], [1, 255, 255])
    np.testing.assert_array_equal(found[2, :, 0], [3, 3, 3])


def test_a_heavy_request_is_computed_in_parts(make):
    run = Doubling()
    weights = np.array([4, 4, 4, 11, 1, 9, 1])
    answer = make(run).answer("s", _rows(*range(7)), weights)
    np.testing.assert_array_equal(answer["y"], 2 * np.arange(7))
    # The last row fits to the first two.
    assert [rows for _, rows in run.batches] == [3, 1, 1, 2]


def test_heavy_requests_are_not_put_together(make):
    run = Doubling()
    requests = [("s", _rows(1), weight) for weight in (6, 5, 4, 1)]
    _while_busy(make(run), run, requests)
    # 6 and 4; 5 and 1 do not fit to them.
    assert [rows for _, rows in run.batches] == [1, 2, 2]


def test_one_bad_request_does_not_fail_those_beside_it(make):
    run = Doubling()
    good, bad, other = _while_busy(
        make(run), run, [("s", _rows(1)), ("s", _rows(-1)), ("s", _rows(3))]
    )
    np.testing.assert_array_equal(good.result()["y"], [2])
    np.testing.assert_array_equal(other.result()["y"], [6])
    with pytest.raises(failures.RequestError, match="negative"):
        bad.result()


@pytest.mark.parametrize("shape", [(5,), (1,), ()])
def test_an_output_that_has_no_row_a_request_is_given_to_nobody_else(
    make, shape
):
    class Summing(Doubling):
        def __call__(self, signature, inputs):
            super().__call__(signature, inputs)
            return {"y": np.full(shape, inputs["x"].sum())}

    run = Summing()
    futures = _while_busy(make(run), run, [("s", _rows(1)), ("s", _rows(2))])
    for number, future in enumerate(futures, 1):
        expected = np.full(shape, number)
        np.testing.assert_array_equal(future.result()["y"], expected)


def test_a_full_queue_is_refused_with_503_and_goes_on_later(make):
    run = Doubling()
    batcher = make(run, queued=3)
    futures = _while_busy_full(batcher, run)
    assert [future.result()["y"].tolist() for future in futures] == [[2, 2]]
    assert batcher.answer("s", _rows(4))["y"].tolist() == [8]


def _while_busy_full(batcher, run):
    run.allowed.clear()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        pool.submit(batcher.answer, "s", _rows(0))
        assert run.entered.wait(30)
        waiting = pool.submit(batcher.answer, "s", _rows(1, 1))
        _until_queued(batcher, 1)
        with pytest.raises(failures.RequestError) as refused:
            batcher.answer("s", _rows(1, 1))
        run.allowed.set()
    assert refused.value.status == 503
    return [waiting]


def test_a_request_that_can_never_fit_is_refused_with_413(make):
    with pytest.raises(failures.RequestError, match="3 instances at most") as e:
        make(Doubling(), queued=3).answer("s", _rows(1, 2, 3, 4))
    assert e.value.status == 413


def test_a_full_batch_does_not_wait_for_the_delay(make):
    run = Doubling()
    batcher = make(run, size=2, delay=3600)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(batcher.answer, "s", _rows(1)) for _ in "ab"]
        assert [f.result(30)["y"].tolist() for f in futures] == [[2], [2]]
    assert run.batches == [("s", 2)]


def test_what_is_computed_alone_does_not_wait_for_others(make):
    batcher = make(Doubling(), delay=20)
    start = time.monotonic()
    batcher.answer("s", _rows(1), alone=True)
    assert time.monotonic() - start < 10


def test_closing_answers_what_waits_and_refuses_what_comes_later(make):
    run = Doubling()
    batcher = make(run, delay=3600)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(batcher.answer, "s", _rows(1))
        _until_queued(batcher, 1)
        batcher.close()
        assert waiting.result(30)["y"].tolist() == [2]
    with pytest.raises(failures.RequestError, match="stopping"):
        batcher.answer("s", _rows(1))


def test_no_rows_give_no_rows(make):
    answer = make(Doubling()).answer("s", _rows())
    assert answer["y"].shape == (0,)
