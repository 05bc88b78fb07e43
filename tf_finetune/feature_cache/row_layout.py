"""Flattening of a picture's tensors to a row of the cache, and back."""

import dataclasses
import math
from collections.abc import Sequence

import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowLayout:
    """Layout of one tensor or several in a row.

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
