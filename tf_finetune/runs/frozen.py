"""The frozen part of a run's network: what it says, read from the cache."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import inference
from tf_finetune.adaptation import cutting
from tf_finetune.cache import batches, entries, keys, passes
from tf_finetune.cache import store as stores
from tf_finetune.data import examples
from tf_finetune.runs import course as courses

# Pictures by which it is judged whether float16 is precise enough.
_JUDGED = 1024
# What the loss on them may move by.
_TOLERANCE = 1e-3


Target = tuple[cutting.Cut, stores.Store]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crossing:
    """What crosses the cut of a network, for every picture.

    Attributes:
        cut: Where that is.
        rows: By split, of the pictures as they are, float32.
        views: Of the training split: every view, one after the other.
    """

    cut: cutting.Cut
    rows: Mapping[str, stores.Rows]
    views: stores.Rows

    def logits(self, course: courses.Course) -> dict[str, np.ndarray]:
        """Returns what the trained part makes of each split."""
        return {
            split: inference.predict(
                self.cut.suffix,
                batches.in_order(
                    rows,
                    unpack=self.cut.crossing,
                    batch_size=course.config.training.batch_size,
                ),
            )
            for split, rows in self.rows.items()
        }


class Cache:
    """The entries of the cache that belong to one run."""

    def __init__(
        self, course: courses.Course, held: contextlib.ExitStack
    ) -> None:
        """Opens the entry of the pooled features.

        Args:
            course: The run.
            held: Keeps the entries safe from eviction until it is closed.
        """
        self._course = course
        self._held = held
        self._networks: dict[tuple, passes.Network] = {}
        self._stores: dict[tuple, stores.Store] = {}
        extractor = course.built.extractor
        self._features = self._open(
            extractor, extractor.output_shape[-1], "float32", "features"
        )

    def store(self, cut: cutting.Cut, dtype: str) -> stores.Store:
        """Opens the entry of what crosses a cut."""
        key = cut.names, dtype
        if key not in self._stores:
            self._stores[key] = self._open(
                cut.up_to(), cut.width, dtype, ", ".join(cut.names)
            )
        return self._stores[key]

    def features(
        self, crossing: Target | None = None
    ) -> dict[str, stores.Rows]:
        """Returns the pooled features of each split.

        Args:
            crossing: Whose rows are computed in the same pass; None: none.
        """
        pictures = self._course.data.pictures
        self.fill(0, pictures, crossing, with_features=True)
        return self.by_split(self._features)

    def by_split(self, store: stores.Store) -> dict[str, stores.Rows]:
        """Returns the rows of the pictures as they are, in their order."""
        data = self._course.data
        return {
            split: store.rows([each.sha256 for each in data.split(split)])
            for split in data.splits
        }

    def fill(
        self,
        number: int,
        pictures: Sequence[examples.Picture],
        crossing: Target | None,
        *,
        with_features: bool,
    ) -> list[str]:
        """Computes what is missing of one view; returns the rows' names."""
        course = self._course
        wanted = self.views(number, pictures)
        into = [self._features] if with_features else []
        if crossing:
            into.append(crossing[1])
        passes.fill(
            into,
            self.network(crossing, with_features=with_features),
            wanted,
            image_size=course.image_size,
            resize=course.config.model.resize,
            batch_size=course.config.training.batch_size,
            level=course.config.training.augmentation,
            title=f"Augmented view {number}" if number else "Features",
        )
        return [view.name for view in wanted]

    def views(
        self, number: int, pictures: Sequence[examples.Picture]
    ) -> list[passes.View]:
        """Returns one view of each picture; 0 is the picture as it is."""
        config = self._course.config
        return passes.views(
            [picture.path for picture in pictures],
            [picture.sha256 for picture in pictures],
            number=number,
            level=config.training.augmentation,
            seed=config.seed,
        )

    def network(
        self, crossing: Target | None, *, with_features: bool
    ) -> passes.Network:
        """Returns images → features, rows that cross, or both in turn."""
        names = crossing and (crossing[0].names, crossing[1].dtype)
        key = (names, with_features)
        if key not in self._networks:
            self._networks[key] = _network(
                self._course.built.extractor, crossing, with_features
            )
        return self._networks[key]

    def _open(
        self, model: keras.Model, width: int, dtype: str, up_to: str
    ) -> stores.Store:
        config = self._course.config
        key = keys.of(
            model,
            image_size=self._course.image_size,
            resize=config.model.resize,
        )
        folder = self._held.enter_context(
            entries.held(
                self._course.cache_dir,
                f"{entries.FEATURES}/{key}-{dtype}",
                what=f"{config.model.backbone} up to {up_to}, "
                f"{self._course.image_size} pixels, {dtype}",
            )
        )
        return stores.Store(folder, width=width, dtype=dtype)


def cross(course: courses.Course, cache: Cache, target: Target) -> Crossing:
    """Computes every view that training needs; returns them all.

    The pictures as they are stay float32, since figures are taken on them;
    augmented views, the bulk, are float16 where that is precise enough.
    """
    cut, store = target
    rows = cache.by_split(store)
    views = rows["train"]
    if num_views(course) > 1:
        dtype = "float16" if _may_round(course, cut, rows) else "float32"
        store = cache.store(cut, dtype)
    for number in range(1, num_views(course)):
        names = cache.fill(
            number,
            course.data.split("train"),
            (cut, store),
            with_features=False,
        )
        views = views.followed_by(store.rows(names))
    return Crossing(cut=cut, rows=rows, views=views)


def missing_bytes(
    course: courses.Course, cache: Cache, cut: cutting.Cut
) -> int:
    """Returns what has still to be written: augmented views as float16."""
    store = cache.store(cut, "float32")
    names = [picture.sha256 for picture in course.data.pictures]
    size = len(store.missing(names)) * store.row_bytes
    for number in range(1, num_views(course)):
        store = cache.store(cut, "float16")
        wanted = cache.views(number, course.data.split("train"))
        missing = store.missing(view.name for view in wanted)
        size += len(missing) * store.row_bytes
    return size


def num_views(course: courses.Course) -> int:
    """Returns how many views of a training picture the cache holds."""
    options = course.config.training
    return 1 if options.augmentation == "none" else options.augmentation_views


def _may_round(
    course: courses.Course,
    cut: cutting.Cut,
    rows: Mapping[str, stores.Rows],
) -> bool:
    """Whether rows rounded to float16 give the figures that exact ones give.

    On validation pictures the task's figure of merit must be the same, and
    what ties are told apart by (the loss) within a thousandth.
    """
    validation = rows["validation"]
    few = validation.select(np.arange(min(_JUDGED, len(validation))))
    merits = []
    for unpack in (
        cut.crossing,
        lambda each: cut.crossing(tf.cast(tf.cast(each, "float16"), "float32")),
    ):
        size = course.config.training.batch_size
        inputs = batches.in_order(few, unpack=unpack, batch_size=size)
        logits = inference.predict(cut.suffix, inputs)
        if not np.isfinite(logits).all():
            return False
        merits.append(_merit(course, logits))
    first, *others = zip(*merits, strict=True)
    may = first[0] == first[1] and all(
        abs(a - b) <= _TOLERANCE for a, b in others
    )
    logging.info(
        "cache: augmented views in %s; figures of %d validation pictures from "
        "exact and from rounded rows: %s",
        "float16" if may else "float32",
        len(few),
        ", ".join(f"{a:.6g} and {b:.6g}" for a, b in (first, *others)),
    )
    return may


def _merit(course: courses.Course, logits: np.ndarray) -> tuple[float, ...]:
    figures = course.task.evaluate(
        course.targets("validation")[: len(logits)],
        course.task.finish(logits),
        class_names=course.data.class_names,
        seed=course.config.seed,
    )
    return course.task.merit(figures)


def _network(
    extractor: keras.Model, crossing: Target | None, with_features: bool
) -> passes.Network:
    if not crossing:
        step = inference.step(extractor)
        return lambda images: [step(images)]
    cut, store = crossing
    outputs = extractor.outputs if with_features else []
    step = inference.step(cut.up_to(*outputs))
    count = len(cut.tensors)

    def rows(images: tf.Tensor) -> list[tf.Tensor]:
        found = keras.tree.flatten(step(images))
        flat = cut.flat(found[:count])
        return [*found[count:], tf.cast(flat, store.dtype)]

    return rows
