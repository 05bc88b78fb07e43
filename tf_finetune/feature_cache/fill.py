"""Filling of stores: one pass of pictures through a frozen network."""

import dataclasses
import hashlib
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_finetune.config import model_options, training_options
from tf_finetune.data import pipeline, progress
from tf_finetune.data.augment import augmentation
from tf_finetune.feature_cache import store as stores

# A shard is written after this time or at this size: the time bounds the loss
# when a pass is killed.
_SECONDS_PER_SHARD = 20.0
_BYTES_PER_SHARD = 8 << 20

Network = Callable[[tf.Tensor], Sequence[tf.Tensor]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """A picture as it is, or under one fixed random augmentation.

    Attributes:
        name: Of its row: SHA-256 of content, augmentation, seed and number.
        path: The picture's file.
        is_changed: Whether it is augmented; the name is then also the seed.
    """

    name: str
    path: str
    is_changed: bool


def make_views(
    paths: Sequence[str],
    hashes: Sequence[str],
    *,
    number: int,
    level: training_options.Augmentation,
    seed: int,
) -> list[View]:
    """Builds view `number` of each picture.

    Args:
        paths: Of the pictures.
        hashes: The SHA-256 of each one's content.
        number: 0 is the picture as it is, every other one an augmented view.
        level: Of the augmentation.
        seed: Start of its random draws.
    """
    if number == 0:
        return [
            View(name=name, path=path, is_changed=False)
            for name, path in zip(hashes, paths, strict=True)
        ]
    change = f"{augmentation.describe_level(level)}/{seed}/{number}"
    return [
        View(
            name=hashlib.sha256(f"{name}/{change}".encode()).hexdigest(),
            path=path,
            is_changed=True,
        )
        for name, path in zip(hashes, paths, strict=True)
    ]


def derive_seeds(wanted: Sequence[View]) -> np.ndarray:
    """Derives the seeds of augmented views from their names, int32 [n, 2]."""
    # 64 bits of the SHA-256, so that a view looks the same in every run.
    numbers = [
        [int(view.name[start : start + 8], 16) for start in (0, 8)]
        for view in wanted
    ]
    return np.array(numbers, "uint32").view("int32")


def fill_stores(
    into: Sequence[stores.Store],
    network: Network,
    wanted: Sequence[View],
    *,
    image_size: int,
    resize: model_options.Resize,
    pixels: model_options.PixelOptions = model_options.DEFAULT_PIXELS,
    batch_size: int,
    level: training_options.Augmentation = "none",
    title: str,
    check: Callable[[Sequence[View]], None] = lambda views: None,
) -> None:
    """Computes the missing rows of several stores in one pass.

    Args:
        into: Where the rows go, as they are computed: a killed pass goes on
            where it was.
        network: [batch, image_size, image_size, 3] → rows [batch, width] for
            each store.
        wanted: All as they are or all augmented; equal names are computed
            once.
        image_size: Side of the model's input, pixels.
        resize: How pictures become square.
        pixels: How their files are decoded.
        batch_size: Pictures per step.
        level: Of the augmentation of changed views.
        title: Of the progress bar.
        check: Called with views before their rows are written; raises if
            their files changed since they were hashed.
    """
    # Of equal names the first view remains.
    view_of: dict[str, View] = {}
    for view in wanted:
        view_of.setdefault(view.name, view)

    def check_names(names: Sequence[str]) -> None:
        check([view_of[name] for name in names])

    writers = [
        Writer(store, store.missing(view_of), check_names) for store in into
    ]
    missing = set().union(*(writer.names for writer in writers))
    todo = [view for name, view in view_of.items() if name in missing]
    if not todo:
        return
    batch_size = min(batch_size, len(todo))
    size = {"image_size": image_size, "resize": resize, "pixels": pixels}
    batches = _load_images(todo, size, batch_size, level)
    total = -(-len(todo) // batch_size)
    bar = progress.track(batches, total=total, title=title, unit="batches")
    for number, images in enumerate(bar):
        start = number * batch_size
        names = [view.name for view in todo[start : start + batch_size]]
        for writer, rows in zip(writers, network(images), strict=True):
            writer.add(names, np.asarray(rows))
        flush_if_due(writers)
    flush_all(writers)


def flush_if_due(writers: Sequence["Writer"]) -> None:
    """Writes the buffered rows of all writers if one of them is due.

    All together, so that a killed pass resumes after a whole batch, in batches
    of the same pictures as if it had not been killed: the last bits of a row
    depend on the other rows of its batch. And in their order, so that where
    the last store is complete, the others are.
    """
    if any(writer.is_due for writer in writers):
        flush_all(writers)


def flush_all(writers: Sequence["Writer"]) -> None:
    """Writes the buffered rows of all writers, in their order."""
    for writer in writers:
        writer.flush()


class Writer:
    """Collects the missing rows of a store into shards of a good size.

    Attributes:
        names: Of the rows that are still missing.
    """

    def __init__(
        self,
        store: stores.Store,
        names: Sequence[str],
        check: Callable[[Sequence[str]], None] = lambda names: None,
    ) -> None:
        """Starts with an empty buffer.

        Args:
            store: Where the rows go.
            names: Of the missing rows; others are skipped, and so are
                repeated ones.
            check: Called with names before their rows are written; raises if
                the rows do not belong to them.
        """
        self._check = check
        self.names = set(names)
        self._store = store
        self._waiting: list[tuple[list[str], np.ndarray]] = []
        self._since = time.monotonic()

    def add(self, names: Sequence[str], rows: np.ndarray) -> None:
        """Buffers rows [len(names), width]; writes nothing yet."""
        wanted = [i for i, name in enumerate(names) if name in self.names]
        if wanted:
            taken = [names[i] for i in wanted]
            self._waiting.append((taken, rows[wanted]))
            self.names.difference_update(taken)

    @property
    def is_due(self) -> bool:
        """Whether the buffer fills a shard, or its time is up."""
        count = sum(len(part) for part, _ in self._waiting)
        is_full = count * self._store.row_bytes >= _BYTES_PER_SHARD
        return is_full or time.monotonic() - self._since > _SECONDS_PER_SHARD

    def flush(self) -> None:
        """Writes the buffered rows as one shard."""
        if self._waiting:
            names, rows = zip(*self._waiting, strict=True)
            names = [*itertools.chain.from_iterable(names)]
            # Before writing: a picture may have changed while it was read.
            self._check(names)
            self._store.put(names, np.concatenate(rows))
            self._waiting = []
        self._since = time.monotonic()


def _load_images(
    wanted: Sequence[View],
    size: Mapping[str, Any],
    batch_size: int,
    level: training_options.Augmentation,
) -> tf.data.Dataset:
    """Loads batches of pictures as they are, or all of them augmented.

    Args:
        wanted: Views.
        size: `image_size`, `resize` and `pixels` of `pipeline`.
        batch_size: Pictures a batch.
        level: Of the augmentation.
    """
    paths = [view.path for view in wanted]
    if not wanted[0].is_changed:
        return pipeline.build_evaluation_images(
            paths, batch_size=batch_size, **size
        )
    return pipeline.build_augmented_images(
        paths,
        derive_seeds(wanted),
        level=level,
        batch_size=batch_size,
        **size,
    )
