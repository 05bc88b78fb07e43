"""Activations at the freeze boundary, of every view of every picture."""

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import errors, files
from tf_finetune.evaluation import evaluate_split
from tf_finetune.feature_cache import batches
from tf_finetune.feature_cache import store as stores
from tf_finetune.model import inference
from tf_finetune.runs import context as contexts
from tf_finetune.runs import run_cache
from tf_finetune.workdir import json_schema, workdir_files

# Validation pictures on which float16 is compared with float32.
_COMPARED_PICTURES = 1024
# The most that the loss on them may change by.
_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoundaryActivations:
    """Cached activations at the freeze boundary: the inputs of fine-tuning.

    A view is one fixed augmentation of a picture; view 0 is the picture itself.
    A row holds the activations of one view of one picture, flattened.

    Attributes:
        rows: By split name, the rows of the unaugmented pictures in their
            order, float32.
        views: Rows of the training split: view 0 of every picture, then view 1
            of every picture, and so on.
    """

    rows: Mapping[str, stores.Rows]
    views: stores.Rows

    def stream_logits(
        self, context: contexts.RunContext, split: str
    ) -> Iterator[np.ndarray]:
        """Yields the logits of a split, computed from its cached activations.

        Args:
            context: The run; the present weights of its model are used.
            split: "train", "validation" or "test".

        Yields:
            [batch, …] logits of the unaugmented pictures, in their order.
        """
        return _stream_logits(
            context, self.rows[split], context.networks.boundary.tensors
        )


def compute_activations(context: contexts.RunContext) -> BoundaryActivations:
    """Computes the activations at the freeze boundary that training reads.

    Only activations that the cache lacks are computed. Unaugmented pictures
    stay float32, since metrics are computed on them; augmented views, the bulk,
    are float16 if the task's metrics on validation stay the same with it.

    Args:
        context: The run; its network has a freeze boundary.

    Returns:
        Rows of every split, and of all `num_views` views of the training split,
        read from disk on demand.
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
    """Counts the bytes of activations that are still to be cached.

    Args:
        context: The run; its network has a freeze boundary.

    Returns:
        Bytes of the unaugmented pictures of all splits as float32 and of the
        augmented training views as float16; 0 if the cache holds all.
    """
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
        return load_chief_choice(context.shared, "views")
    dtype = load_choices(context.shared).get("views")
    if dtype is None:
        dtype = (
            "float16" if _is_float16_precise(context, validation) else "float32"
        )
        record_choice(context.shared, "views", dtype)
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


_KIND = json_schema.Table(json_schema.Text(longest=100))


def load_choices(shared: workdir_files.Workdir) -> dict[str, str]:
    """Reads the choices about the cache that the chief recorded for a run.

    Args:
        shared: The workdir of the chief.

    Returns:
        Choice by name: "cache" → "on" or "off", "views" → "float32" or
        "float16"; empty if nothing is recorded yet.
    """
    path = _choices_path(shared)
    try:
        return json_schema.read_json(
            path, _KIND, within=shared.path, limit=1 << 20
        )
    except (FileNotFoundError, NotADirectoryError):
        return {}


def record_choice(shared: workdir_files.Workdir, name: str, value: str) -> None:
    """Adds a choice to those recorded in a workdir; only the chief calls this.

    Args:
        shared: The workdir of the chief.
        name: "cache" or "views"; a choice of the same name is replaced.
        value: "on" or "off" for "cache", "float32" or "float16" for "views".
    """
    files.write_json(
        _choices_path(shared), {**load_choices(shared), name: value}
    )


def load_chief_choice(shared: workdir_files.Workdir, name: str) -> str:
    """Reads one choice that the chief has recorded.

    Args:
        shared: The workdir of the chief.
        name: "cache" or "views".

    Returns:
        "on" or "off" for "cache", "float32" or "float16" for "views".

    Raises:
        RunError: No choice of this name is recorded.
    """
    found = load_choices(shared)
    if name not in found:
        raise errors.RunError(
            f"The first worker's decision on {name!r} is missing from "
            f"{_choices_path(shared)}. Is --workdir a folder that all workers "
            "share? Start the same command again."
        )
    return found[name]


def _choices_path(shared: workdir_files.Workdir) -> pathlib.Path:
    # With the checkpoints: a finished run needs its decisions no more.
    return shared.checkpoints / "cache.json"
