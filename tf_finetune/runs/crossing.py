"""Activations at the freeze boundary, of every view of every picture."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import inference
from tf_finetune.cache import batches
from tf_finetune.cache import store as stores
from tf_finetune.runs import course as courses
from tf_finetune.runs import decisions, frozen
from tf_finetune.tasks import judging

# Validation pictures on which float16 is compared with float32.
_JUDGED = 1024
# The most that the loss on them may change by.
_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crossing:
    """Activations at the freeze boundary, one row a picture or view.

    Attributes:
        rows: By split, of the unaugmented pictures, float32.
        views: Of the training split: every view, one after the other.
    """

    rows: Mapping[str, stores.Rows]
    views: stores.Rows

    def logits(
        self, course: courses.Course, split: str
    ) -> Iterator[np.ndarray]:
        """Yields the logits of a split in batches, computed from its rows."""
        return _logits(course, self.rows[split], course.networks.cut.tensors)


def cross(course: courses.Course) -> Crossing:
    """Computes the activations of every view that training needs.

    Unaugmented pictures stay float32, since figures are computed on them;
    augmented views, the bulk, are float16 where that is precise enough.
    """
    rows = frozen.by_split(course.cache.crossing("float32"), course.data)
    views = rows["train"]
    if course.config.training.num_views > 1:
        dtype = _dtype_of_views(course, rows["validation"])
        store = course.cache.crossing(dtype)
        views = views.followed_by(
            course.cache.augmented(course.data.split("train"), store)
        )
    return Crossing(rows=rows, views=views)


def missing_bytes(course: courses.Course) -> int:
    """Returns the bytes still to be cached, with augmented views as float16."""
    store = course.cache.crossing("float32")
    names = [picture.sha256 for picture in course.data.pictures]
    size = len(store.missing(names)) * store.row_bytes
    # View 0 is the picture unaugmented, counted above as float32.
    for number in range(1, course.config.training.num_views):
        store = course.cache.crossing("float16")
        wanted = course.cache.views(number, course.data.split("train"))
        missing = store.missing(view.name for view in wanted)
        size += len(missing) * store.row_bytes
    return size


def _dtype_of_views(course: courses.Course, validation: stores.Rows) -> str:
    """Returns the dtype of cached views, which the chief decides once a run."""
    if not course.is_chief:
        return decisions.of_chief(course.shared, "views")
    dtype = decisions.known(course.shared).get("views")
    if dtype is None:
        dtype = "float16" if _may_round(course, validation) else "float32"
        decisions.note(course.shared, "views", dtype)
    return dtype


def _may_round(course: courses.Course, validation: stores.Rows) -> bool:
    """Whether rows rounded to float16 give the figures that exact ones give.

    On validation pictures the task's leading figure must be the same, and
    those that break ties (the loss) must agree within `_TOLERANCE`.
    """
    tensors = course.networks.cut.tensors
    few = validation.select(np.arange(min(_JUDGED, len(validation))))
    measures, judged = course.task.figures, []
    for unpack in (
        tensors,
        lambda each: tensors(tf.cast(tf.cast(each, "float16"), "float32")),
    ):
        figures = _figures(course, _logits(course, few, unpack))
        if figures is None:  # Not finite, as beyond float16's range.
            return False
        judged.append(figures)
    # A merit is the leading figure, then those that break ties.
    first, *others = zip(*map(measures.merit, judged), strict=True)
    may = first[0] == first[1] and all(
        abs(a - b) <= _TOLERANCE for a, b in others
    )
    logging.info(
        "cache: augmented views are stored as %s; on %d validation pictures "
        "float32 activations give %s, float16 activations %s",
        "float16" if may else "float32",
        len(few),
        *map(measures.brief, judged),
    )
    return may


def _logits(
    course: courses.Course, rows: stores.Rows, unpack: batches.Unpack
) -> Iterator[np.ndarray]:
    size = course.config.training.batch_size
    inputs = batches.in_order(rows, unpack=unpack, batch_size=size)
    return inference.stream(course.networks.suffix, inputs)


def _figures(
    course: courses.Course, logits: Iterable[np.ndarray]
) -> dict[str, Any] | None:
    """Returns figures of the first pictures; None: a number is not finite."""
    return judging.judge(
        course.task,
        course.data,
        "validation",
        map(course.task.network.finish, logits),
        seed=course.config.seed,
    ).figures
