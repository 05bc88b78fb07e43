"""Batches of cached rows: the layout of a row, and its way into training."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from tf_finetune.data import epoch_order
from tf_finetune.data import split_targets as target_rows
from tf_finetune.feature_cache import store as stores

Unpack = Callable[[tf.Tensor], tf.Tensor | tuple[tf.Tensor, ...]]


def make_training_batches(
    rows: stores.Rows,
    targets: target_rows.Targets,
    order: epoch_order.BatchOrder,
    *,
    unpack: Unpack,
) -> tf.data.Dataset:
    """Builds shuffled batches of cached rows and targets over several epochs.

    The order of pictures is that of `pipeline.build_training_batches`. The
    views of a picture take turns from epoch to epoch; within an epoch pictures
    differ in view.

    Args:
        rows: View 0 of every picture, then view 1 of every picture, and so on.
        targets: Targets of n pictures; n divides the number of rows.
        order: Order and extent of the batches; other rows are not read.
        unpack: Converts rows [batch, width] to inputs of the trained model.

    Returns:
        Dataset of (inputs, targets [batch, …]); for a share of replicas, of
        (inputs, targets, size of the whole batch, int64).
    """
    count = len(targets)
    steps = order.count_steps(count)

    def load_batch(
        places: tf.Tensor, number: tf.Tensor
    ) -> tuple[tf.Tensor | tuple[tf.Tensor, ...], tf.Tensor]:
        places = places[places >= 0]  # -1 pads the last batch.
        # Offset by picture, so that every batch mixes views.
        view = (places + number // steps) % (len(rows) // count)
        taken = take_rows(rows, view * count + places)
        batch = (unpack(taken), targets.batch(places, view))
        if order.part.is_all:
            return batch
        return (*batch, order.compute_size(count, number))

    total = order.count_batches(count)
    return (
        order.build_places(count)
        .map(load_batch, tf.data.AUTOTUNE, deterministic=True)
        # `flat_map` hides the number of batches, which Keras asks for.
        .apply(tf.data.experimental.assert_cardinality(total))
        .prefetch(tf.data.AUTOTUNE)
    )


def make_ordered_batches(
    rows: stores.Rows, *, unpack: Unpack, batch_size: int
) -> tf.data.Dataset:
    """Builds batches of all cached rows in their order, for inference.

    Args:
        rows: The rows.
        unpack: Converts rows [batch, width] to inputs of the network.
        batch_size: Rows per batch; the last batch may hold fewer.

    Returns:
        Dataset of inputs: a tensor, or a tuple of tensors.
    """
    return (
        tf.data.Dataset.range(len(rows))
        .batch(batch_size)
        .map(
            lambda places: unpack(take_rows(rows, places)),
            tf.data.AUTOTUNE,
            deterministic=True,
        )
        .prefetch(tf.data.AUTOTUNE)
    )


def take_rows(rows: stores.Rows, places: tf.Tensor) -> tf.Tensor:
    """Reads cached rows inside a tf.data graph.

    One Python call per batch, which reads a memory map; everything else is part
    of the graph.

    Args:
        rows: Rows of a store.
        places: [n] integer indices into them.

    Returns:
        [n, width] float32.
    """
    taken = tf.numpy_function(
        rows.take, [places], tf.as_dtype(rows.dtype), stateful=False
    )
    # A Python function hides the shape of its result.
    return tf.cast(tf.ensure_shape(taken, [None, rows.width]), tf.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowLayout:
    """Shapes of a picture's tensors that are flattened into one cached row.

    Attributes:
        shapes: Shape of each tensor without the batch axis, in the row's order.
    """

    shapes: tuple[tuple[int, ...], ...]

    @property
    def width(self) -> int:
        """Number of values in a row: the sum of the tensors' sizes."""
        return sum(math.prod(shape) for shape in self.shapes)

    def flat(self, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
        """Flattens tensors [batch, *shape] and joins them to [batch, width].

        Args:
            tensors: One for each of `shapes`, in that order.
        """
        rows = [
            tf.reshape(each, [-1, math.prod(shape)])
            for each, shape in zip(tensors, self.shapes, strict=True)
        ]
        return rows[0] if len(rows) == 1 else tf.concat(rows, axis=1)

    def tensors(self, rows: tf.Tensor) -> tf.Tensor | tuple[tf.Tensor, ...]:
        """Splits rows [batch, width] into tensors [batch, *shape].

        Returns:
            The tensor if there is one shape; else a tuple, in the order of
            `shapes`.
        """
        # The inverse of `flat`.
        sizes = [math.prod(shape) for shape in self.shapes]
        parts = tuple(
            tf.reshape(part, [-1, *shape])
            for part, shape in zip(
                tf.split(rows, sizes, axis=1), self.shapes, strict=True
            )
        )
        return parts if len(parts) > 1 else parts[0]
