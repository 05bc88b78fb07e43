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
    """Returns shuffled batches of cached rows and targets, several epochs.

    Their order is that of `pipeline.build_training_batches`. Each picture's
    views take turns from epoch to epoch; in one epoch pictures differ in view.

    Args:
        rows: Of view 0 of every picture, then of view 1, and so on.
        targets: Of n pictures; n divides the number of rows.
        unpack: Rows [batch, width] → inputs of the trained model.
        batch_size: Pictures a batch; an epoch's last batch may hold fewer.
        seed: Start of every random draw.
        first_epoch: From 0.
        epochs: Number of the first epoch that is not wanted.
        first_step: Batches of the first epoch that are left out.
        part: Of each batch; other rows are not read.

    Returns:
        Dataset of (inputs, targets [batch, …]); of a part, also the size of
        the whole batch, int64.
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
    """Reads the rows in their order, as batches of a network's inputs."""
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
    """Returns rows [len(places), width], float32.

    One Python call per batch, which reads a memory map; everything else is
    part of the graph.
    """
    taken = tf.numpy_function(
        rows.take, [places], tf.as_dtype(rows.dtype), stateful=False
    )
    return tf.cast(tf.ensure_shape(taken, [None, rows.width]), tf.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowLayout:
    """Layout of a picture's tensors, flattened one after another in a row.

    Attributes:
        shapes: Of the tensors, without the batch axis.
    """

    shapes: tuple[tuple[int, ...], ...]

    @property
    def width(self) -> int:
        """Numbers per row."""
        return sum(math.prod(shape) for shape in self.shapes)

    def flat(self, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
        """Joins tensors [batch, …] to rows [batch, width]."""
        rows = [
            tf.reshape(each, [-1, math.prod(shape)])
            for each, shape in zip(tensors, self.shapes, strict=True)
        ]
        return rows[0] if len(rows) == 1 else tf.concat(rows, axis=1)

    def tensors(self, rows: tf.Tensor) -> tf.Tensor | tuple[tf.Tensor, ...]:
        """Splits rows into a network's inputs, one tensor or several."""
        # The inverse of `flat`.
        sizes = [math.prod(shape) for shape in self.shapes]
        parts = tuple(
            tf.reshape(part, [-1, *shape])
            for part, shape in zip(
                tf.split(rows, sizes, axis=1), self.shapes, strict=True
            )
        )
        return parts if len(parts) > 1 else parts[0]
