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
    *,
    unpack: Unpack,
    batch_size: int,
    seed: int,
    first_epoch: int,
    epochs: int,
    first_step: int = 0,
    part: epoch_order.Shard = epoch_order.WHOLE,
) -> tf.data.Dataset:
    """Builds shuffled batches of cached rows and targets over several epochs.

    The order of pictures is that of `pipeline.build_training_batches`. The
    views of a picture take turns from epoch to epoch; within an epoch pictures
    differ in view.

    Args:
        rows: View 0 of every picture, then view 1 of every picture, and so on.
        targets: Targets of n pictures; n divides the number of rows.
        unpack: Converts rows [batch, width] to inputs of the trained model.
        batch_size: Pictures per batch; an epoch's last batch may hold fewer.
        seed: Seed of every random draw.
        first_epoch: First epoch to read, counted from 0.
        epochs: Epoch to end before; `epochs` - `first_epoch` are read.
        first_step: Batches of the first epoch that are left out.
        part: Replicas whose share of each batch is read; other rows are not
            read.

    Returns:
        Dataset of (inputs, targets [batch, …]); for a share of replicas, of
        (inputs, targets, size of the whole batch, int64).
    """
    count = len(targets)
    steps = -(-count // batch_size)

    def batches(epoch: tf.Tensor) -> tf.data.Dataset:
        order = epoch_order.draw_padded(count, steps * batch_size, seed, epoch)
        order = tf.reshape(order, [steps, batch_size])
        numbered = tf.fill([steps], epoch)
        # A resumed epoch skips the batches that were trained on already.
        begun = tf.where(epoch == first_epoch, first_step, 0)
        return tf.data.Dataset.from_tensor_slices(
            (order[begun:], numbered[begun:])
        )

    def load_batch(
        places: tf.Tensor, epoch: tf.Tensor
    ) -> tuple[tf.Tensor | tuple[tf.Tensor, ...], tf.Tensor]:
        places = places[places >= 0]  # -1 pads the last batch.
        size = tf.shape(places, tf.int64)[0]
        low, high = part.compute_bounds(size)
        places = places[low:high]
        # Offset by picture, so that every batch mixes views.
        view = (places + epoch) % (len(rows) // count)
        taken = take_rows(rows, view * count + places)
        batch = (unpack(taken), targets.batch(places, view))
        return batch if part.is_all else (*batch, size)

    total = max(steps * (epochs - first_epoch) - first_step, 0)
    return (
        tf.data.Dataset.range(first_epoch, epochs)
        .flat_map(batches)
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
