"""Filling of stores: one pass of pictures through a frozen network."""

import dataclasses
import hashlib
import itertools
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tf_finetune.config import picture_options, training_options
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
    """View of a picture: as it is, or under one fixed random augmentation.

    Attributes:
        name: Key of its cached row, a hexadecimal SHA-256 of content,
            augmentation, seed and number of the view.
        path: The picture's file.
        is_changed: Whether it is augmented; `name` is then also the seed.
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
        paths: Paths of the pictures.
        hashes: SHA-256 of the content of each, hexadecimal.
        number: 0 for the picture as it is, 1 and more for augmented views.
        level: Value of `--augmentation`.
        seed: Seed of its random draws.

    Returns:
        One view per picture, in their order; no picture is read.
    """
    names = hashes
    if number > 0:
        change = f"{augmentation.describe_level(level)}/{seed}/{number}"
        names = [
            hashlib.sha256(f"{name}/{change}".encode()).hexdigest()
            for name in hashes
        ]
    return [
        View(name=name, path=path, is_changed=number > 0)
        for name, path in zip(names, paths, strict=True)
    ]


def derive_seeds(wanted: Sequence[View]) -> np.ndarray:
    """Derives the augmentation seeds of views from their names.

    Args:
        wanted: n augmented views.

    Returns:
        int32 [n, 2], the first 64 bits of each name: equal in every run.
    """
    numbers = [
        [int(view.name[start : start + 8], 16) for start in (0, 8)]
        for view in wanted
    ]
    # The same bits as int32, the dtype of TensorFlow's seeds here.
    return np.array(numbers, "uint32").view("int32")


def fill_stores(
    into: Sequence[stores.Store],
    network: Network,
    wanted: Sequence[View],
    *,
    square: picture_options.Square,
    batch_size: int,
    level: training_options.Augmentation = "none",
    title: str,
    check: Callable[[Sequence[View]], None] = lambda views: None,
) -> None:
    """Computes the rows that several stores lack, in one pass over pictures.

    Rows are written as they are computed: a killed pass resumes where it was.

    Args:
        into: Stores to write to.
        network: Maps [batch, size, size, 3] RGB 0..255 to one
            [batch, width] per store.
        wanted: Views to compute, all as they are or all augmented; equal names
            are computed once.
        square: What pictures are decoded into, the model's input.
        batch_size: Pictures per step.
        level: Value of `--augmentation` for augmented views.
        title: Title of the progress bar.
        check: Called with views before their rows are written; raises if their
            files changed since they were hashed.
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
    batches = _load_images(todo, square, batch_size, level)
    total = -(-len(todo) // batch_size)
    bar = progress.track(batches, total=total, title=title, unit="batches")
    for number, images in enumerate(bar):
        start = number * batch_size
        names = [view.name for view in todo[start : start + batch_size]]
        _add_batch(writers, names, network(images))
    _flush_all(writers)


class StreamFiller:
    """Computes the rows that stores lack, of pictures that come one by one.

    Args:
        into: Stores to write to.
        network: As in `fill_stores`.
        names: Keys of the rows of all pictures.
        batch_size: Pictures per step.
    """

    def __init__(
        self,
        into: Sequence[stores.Store],
        network: Network,
        names: Sequence[str],
        batch_size: int,
    ) -> None:
        """Looks for the missing rows."""
        self._network = network
        self._writers = [Writer(store, store.missing(names)) for store in into]
        self._batch_size = batch_size
        self._waiting: dict[str, tf.Tensor] = {}

    def add(self, name: str, image: tf.Tensor) -> None:
        """Takes a picture, and computes a batch when enough of them wait.

        Args:
            name: Key of its rows.
            image: [size, size, 3] RGB 0..255.
        """
        # Rows that the cache holds already are not computed again.
        if any(name in writer.names for writer in self._writers):
            self._waiting[name] = image
        if len(self._waiting) == self._batch_size:
            self._compute()

    def finish(self) -> None:
        """Computes the last rows and writes them."""
        if self._waiting:
            self._compute()
        _flush_all(self._writers)

    def _compute(self) -> None:
        found = self._network(tf.stack([*self._waiting.values()]))
        _add_batch(self._writers, [*self._waiting], found)
        self._waiting.clear()


def _add_batch(
    writers: Sequence["Writer"],
    names: Sequence[str],
    outputs: Sequence[tf.Tensor],
) -> None:
    """Hands a batch of rows to the writer of each, and writes if one is due.

    All are written together, so that a killed pass resumes after a whole batch,
    with the same pictures in each batch as without the kill: the last bits of a
    row depend on the other rows of its batch.
    """
    for writer, rows in zip(writers, outputs, strict=True):
        writer.add(names, np.asarray(rows))
    if any(writer.is_due for writer in writers):
        _flush_all(writers)


def _flush_all(writers: Sequence["Writer"]) -> None:
    # In their order: where the last store is complete, the others are.
    for writer in writers:
        writer.flush()


class Writer:
    """Buffers the missing rows of a store and writes them in large shards.

    Args:
        store: Store to write to.
        names: Names of the missing rows; rows of other names are ignored by
            `add`.
        check: Called with names before their rows are written; raises if
            the rows do not belong to them.

    Attributes:
        names: Set of names whose rows were not added yet.
    """

    def __init__(
        self,
        store: stores.Store,
        names: Sequence[str],
        check: Callable[[Sequence[str]], None] = lambda names: None,
    ) -> None:
        """Starts with an empty buffer."""
        self._check = check
        self.names = set(names)
        self._store = store
        self._waiting: list[tuple[list[str], np.ndarray]] = []
        self._since = time.monotonic()

    def add(self, names: Sequence[str], rows: np.ndarray) -> None:
        """Buffers rows in memory; writes nothing yet.

        Args:
            names: n names; those that are not missing are skipped.
            rows: [n, width], in the order of `names`.
        """
        wanted = [i for i, name in enumerate(names) if name in self.names]
        if wanted:
            taken = [names[i] for i in wanted]
            self._waiting.append((taken, rows[wanted]))
            self.names.difference_update(taken)

    @property
    def is_due(self) -> bool:
        """Whether the buffer holds 8 MiB or was last written 20 seconds ago."""
        count = sum(len(part) for part, _ in self._waiting)
        is_full = count * self._store.row_bytes >= _BYTES_PER_SHARD
        return is_full or time.monotonic() - self._since > _SECONDS_PER_SHARD

    def flush(self) -> None:
        """Checks the buffered rows and writes them as one shard, if any."""
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
    square: picture_options.Square,
    batch_size: int,
    level: training_options.Augmentation,
) -> tf.data.Dataset:
    """Loads batches of views: all as they are, or all augmented."""
    paths = [view.path for view in wanted]
    if not wanted[0].is_changed:
        return pipeline.build_evaluation_images(
            paths, square, batch_size=batch_size
        )
    return pipeline.build_augmented_images(
        paths,
        derive_seeds(wanted),
        square,
        level=level,
        batch_size=batch_size,
    )
