"""Activations at the freeze boundary, of every view of every picture."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune.evaluation import evaluate_split
from tf_finetune.feature_cache import batches
from tf_finetune.feature_cache import store as stores
from tf_finetune.model import inference
from tf_finetune.runs import context as contexts
from tf_finetune.runs import run_cache
from tf_finetune.workdir import measured_choices

# Validation pictures on which float16 is compared with float32.
_COMPARED_PICTURES = 1024
# The most that the loss on them may change by.
_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoundaryActivations:
    """Activations below the first trainable layer, one row per picture or view.

    A view is one fixed augmentation of a picture; view 0 is the picture itself.

    Attributes:
        rows: By split, of the unaugmented pictures, float32.
        views: Of the training split: every view, one after the other.
    """

    rows: Mapping[str, stores.Rows]
    views: stores.Rows

    def stream_logits(
        self, context: contexts.RunContext, split: str
    ) -> Iterator[np.ndarray]:
        """Yields the logits of a split in batches, computed from its rows."""
        return _stream_logits(
            context, self.rows[split], context.networks.boundary.tensors
        )


def compute_activations(context: contexts.RunContext) -> BoundaryActivations:
    """Computes the activations at the freeze boundary that training reads.

    Unaugmented pictures stay float32, since figures are computed on them;
    augmented views, the bulk, are float16 where that is precise enough.
    """
    rows = run_cache.split_rows(
        context.cache.open_activations("float32"), context.data
    )
    views = rows["train"]
    if context.config.training.num_views > 1:
        dtype = _choose_view_dtype(context, rows["validation"])
        store = context.cache.open_activations(dtype)
        views = views.append_rows(
            context.cache.fill_augmented(context.data.split("train"), store)
        )
    return BoundaryActivations(rows=rows, views=views)


def count_missing_bytes(context: contexts.RunContext) -> int:
    """Returns the bytes still to be cached, with augmented views as float16."""
    store = context.cache.open_activations("float32")
    names = [picture.sha256 for picture in context.data.pictures]
    size = len(store.missing(names)) * store.row_bytes
    # View 0 is the picture unaugmented, counted above as float32.
    for number in range(1, context.config.training.num_views):
        store = context.cache.open_activations("float16")
        wanted = context.cache.list_views(number, context.data.split("train"))
        missing = store.missing(view.name for view in wanted)
        size += len(missing) * store.row_bytes
    return size


def _choose_view_dtype(
    context: contexts.RunContext, validation: stores.Rows
) -> str:
    """Returns the dtype of cached views, which the chief decides once a run."""
    if not context.is_chief:
        return measured_choices.load_chief_choice(context.shared, "views")
    dtype = measured_choices.load_choices(context.shared).get("views")
    if dtype is None:
        dtype = (
            "float16" if _is_float16_precise(context, validation) else "float32"
        )
        measured_choices.record_choice(context.shared, "views", dtype)
    return dtype


def _is_float16_precise(
    context: contexts.RunContext, validation: stores.Rows
) -> bool:
    """Whether rows rounded to float16 give the figures that exact ones give.

    On validation pictures the task's leading figure must be the same, and
    those that break ties (the loss) must agree within `_TOLERANCE`.
    """
    tensors = context.networks.boundary.tensors
    few = validation.select(np.arange(min(_COMPARED_PICTURES, len(validation))))
    measures, judged = context.task.figures, []
    for unpack in (
        tensors,
        lambda each: tensors(tf.cast(tf.cast(each, "float16"), "float32")),
    ):
        figures = _compute_figures(
            context, _stream_logits(context, few, unpack)
        )
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
        *map(measures.format_brief, judged),
    )
    return may


def _stream_logits(
    context: contexts.RunContext, rows: stores.Rows, unpack: batches.Unpack
) -> Iterator[np.ndarray]:
    size = context.config.training.batch_size
    inputs = batches.make_ordered_batches(rows, unpack=unpack, batch_size=size)
    return inference.stream_predictions(context.networks.suffix, inputs)


def _compute_figures(
    context: contexts.RunContext, logits: Iterable[np.ndarray]
) -> dict[str, Any] | None:
    """Returns figures of the first pictures; None: a number is not finite."""
    return evaluate_split.evaluate_predictions(
        context.task,
        context.data,
        "validation",
        map(context.task.network.finish, logits),
        seed=context.config.seed,
    ).figures
