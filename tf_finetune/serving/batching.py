"""Batching of concurrent requests into one call of a function.

It knows arrays, not the model.
"""

import collections
import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

from tf_finetune.serving import failures

Arrays = Mapping[str, np.ndarray]
Run = Callable[[Hashable, Arrays], Arrays]

# Pads arrays of different sizes; no class has this index.
_PADDING_VALUE = 255


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchLimits:
    """Limits of merged batches and of the queue.

    Attributes:
        max_batch_size: Rows per call of the function.
        max_delay_seconds: How long the first request of a batch waits for
            others while the function is idle.
        max_queued_rows: Rows that may wait, of all requests together.
        max_batch_weight: Largest sum of row weights (pixels) in a call; a row
            that exceeds it is computed alone.
    """

    max_batch_size: int
    max_delay_seconds: float
    max_queued_rows: int
    max_batch_weight: int

    def allow(self, rows: int, weight: int) -> bool:
        """Returns whether a batch may have so many rows and such a weight."""
        return rows <= self.max_batch_size and weight <= self.max_batch_weight

    def check_rows(self, rows: int) -> None:
        """Raises `RequestError` 413 if one request has too many rows.

        To be called before any work per row.
        """
        if rows > self.max_queued_rows:
            raise failures.RequestError(
                413,
                f"A request may have {self.max_queued_rows} instances at most, "
                f"got {rows}. Send them in several requests.",
            )


@dataclasses.dataclass(frozen=True)
class _RequestPart:
    """Rows of one request that are computed together."""

    key: tuple
    inputs: Arrays
    rows: int
    weight: int
    arrived: float
    answer: concurrent.futures.Future


class Batcher:
    """Calls a function with the rows of several requests at once.

    One thread calls it, for the oldest request first, together with those that
    match it (same signature, types and shapes). A request larger or heavier
    than a batch is computed in parts. If a batch of several requests fails,
    each of them is computed alone, so that only the faulty one gets the error.

    Args:
        run: Maps a signature and arrays of equal length to arrays of that
            length.
        limits: Limits of batches and of the queue.
    """

    def __init__(self, run: Run, limits: BatchLimits) -> None:
        """Starts the thread."""
        self._run = run
        self._limits = limits
        self._waiting: collections.deque[_RequestPart] = collections.deque()
        # Guards `_waiting` and `_closed`, and is notified of changes.
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(
            target=self._process_batches, daemon=True
        )
        self._thread.start()

    def answer(
        self,
        signature: Hashable,
        inputs: Arrays,
        weights: np.ndarray | int = 0,
        *,
        alone: bool = False,
    ) -> dict[str, np.ndarray]:
        """Computes the function for a request's rows and waits for the result.

        Args:
            signature: The signature.
            inputs: Arrays [rows, …] by name.
            weights: int [rows], or one number for all: the cost of a row, in
                the unit of `BatchLimits.max_batch_weight`.
            alone: Whether to keep rows of other requests out of the batch.

        Returns:
            Output arrays [rows, …] by name. If the request was computed in
            parts of different sizes, smaller ones are padded with 255.

        Raises:
            RequestError: 413 if the rows can never fit into the queue, 503 if
                they do not fit now or the batcher is closed.
            Exception: The error that the function raised for these rows.
        """
        # All pieces enter the queue together or none, so a request is never
        # answered in part.
        pieces = self._split_request(signature, inputs, weights, alone)
        self._enqueue(pieces)
        answers = [piece.answer.result() for piece in pieces]
        if len(answers) == 1:
            return dict(answers[0])
        return {
            name: _join_rows([each[name] for each in answers])
            for name in answers[0]
        }

    def close(self) -> None:
        """Refuses new requests, finishes waiting ones and ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _split_request(
        self,
        signature: Hashable,
        inputs: Arrays,
        weights: np.ndarray | int,
        alone: bool,
    ) -> list[_RequestPart]:
        rows = len(next(iter(inputs.values())))
        weights = np.broadcast_to(weights, rows).tolist()
        # object() is equal to nothing else, so no other piece has this key.
        key = (signature, object() if alone else None, *sorted(
            (name, array.dtype.str, array.shape[1:])
            for name, array in inputs.items()
        ))  # fmt: skip
        arrived = time.monotonic()
        return [
            _RequestPart(
                key,
                {name: array[start:end] for name, array in inputs.items()},
                end - start,
                sum(weights[start:end]),
                arrived,
                concurrent.futures.Future(),
            )
            for start, end in self._split_rows(weights)
        ]

    def _split_rows(self, weights: Sequence[int]) -> list[tuple[int, int]]:
        """Splits rows at the limits; a single empty part if there are none."""
        starts, weight = [0], 0
        for row, each in enumerate(weights):
            weight += each
            if not self._limits.allow(row + 1 - starts[-1], weight):
                if row > starts[-1]:
                    starts.append(row)
                weight = each
        return list(zip(starts, [*starts[1:], len(weights)], strict=True))

    def _enqueue(self, pieces: list[_RequestPart]) -> None:
        rows = sum(piece.rows for piece in pieces)
        limit = self._limits.max_queued_rows
        self._limits.check_rows(rows)
        with self._changed:
            queued = sum(piece.rows for piece in self._waiting)
            if self._closed:
                raise failures.RequestError(503, "The server is stopping.")
            if queued + rows > limit:
                raise failures.RequestError(
                    503,
                    f"{queued} instances are waiting already, of {limit} that "
                    "may. Try again later.",
                )
            self._waiting.extend(pieces)
            self._changed.notify()

    def _process_batches(self) -> None:
        while batch := self._next_batch():
            self._compute(batch)

    def _next_batch(self) -> list[_RequestPart]:
        """Waits for a batch that is full or due; empty: closed."""
        with self._changed:
            while not self._waiting:
                if self._closed:
                    return []
                self._changed.wait()
            # The deadline of the oldest request; later ones cannot extend it.
            due = self._waiting[0].arrived + self._limits.max_delay_seconds
            while not self._closed and not self._is_full():
                left = due - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            return self._take_batch()

    def _is_full(self) -> bool:
        key = self._waiting[0].key
        if key[1] is not None:
            return True  # None may join it.
        fitting = [piece for piece in self._waiting if piece.key == key]
        rows = sum(piece.rows for piece in fitting)
        weight = sum(piece.weight for piece in fitting)
        return not self._limits.allow(rows + 1, weight)

    def _take_batch(self) -> list[_RequestPart]:
        """Removes the oldest piece and those that can be computed with it."""
        batch, others, rows, weight = [], [], 0, 0
        for piece in self._waiting:
            fits = self._limits.allow(rows + piece.rows, weight + piece.weight)
            if not batch or (piece.key == batch[0].key and fits):
                batch.append(piece)
                rows += piece.rows
                weight += piece.weight
            else:
                others.append(piece)
        self._waiting = collections.deque(others)
        return batch

    def _compute(self, batch: list[_RequestPart]) -> None:
        try:
            answers = self._run_merged(batch)
        except Exception as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            # One bad picture must not fail the requests beside it.
            for piece in batch:
                self._compute([piece])
            return
        for piece, answer in zip(batch, answers, strict=True):
            piece.answer.set_result(answer)

    def _run_merged(self, batch: list[_RequestPart]) -> list[Arrays]:
        signature = batch[0].key[0]
        if len(batch) == 1:
            return [self._run(signature, batch[0].inputs)]
        inputs = {
            name: np.concatenate([piece.inputs[name] for piece in batch])
            for name in batch[0].inputs
        }
        outputs = self._run(signature, inputs)
        ends = np.cumsum([piece.rows for piece in batch])
        _require_rows(outputs, ends[-1])
        return [
            {n: array[end - piece.rows : end] for n, array in outputs.items()}
            for piece, end in zip(batch, ends, strict=True)
        ]


def _require_rows(outputs: Arrays, rows: int) -> None:
    """Raises `RequestError` unless every output has one row per input row."""
    for name, array in outputs.items():
        if array.shape[:1] != (rows,):
            raise failures.RequestError(
                500,
                f"The model gives {name!r} of shape {array.shape} for {rows} "
                "rows, so its rows cannot be assigned to requests.",
            )


def _join_rows(parts: list[np.ndarray]) -> np.ndarray:
    """Concatenates rows, padded to the largest size of any part.

    Answers of the pictures' sizes need that: they are as large as the largest
    picture of their batch. The model pads with 255, too, and returns the size
    of each.
    """
    sides = np.array([part.shape[1:] for part in parts])
    largest = sides.max(axis=0)
    if (sides == largest).all():
        return np.concatenate(parts)
    widths = [[(0, 0), *((0, n) for n in largest - each)] for each in sides]
    filled = [
        np.pad(part, width, constant_values=_PADDING_VALUE)
        for part, width in zip(parts, widths, strict=True)
    ]
    return np.concatenate(filled)
