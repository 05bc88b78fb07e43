"""Batches of rows as the inputs of a fused model."""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tf_finetune.config import model_options
from tf_finetune.data import pipeline
from tf_finetune.inputs import input_protocol, input_rows, pictures


def stream_batches(
    inputs: Sequence[input_protocol.Input],
    rows: Sequence[input_rows.Row],
    *,
    image_size: int,
    resize: model_options.Resize,
    pixels: model_options.PixelOptions,
    batch_size: int,
) -> Iterator[dict[str, tf.Tensor]]:
    """Yields the values of rows by name of the input.

    Args:
        inputs: Of the run.
        rows: All their pictures can be decoded.
        image_size: Side of the pictures in pixels.
        resize: How they become square.
        pixels: How their files are decoded.
        batch_size: Rows per batch.
    """
    count = len(rows[0].paths) if rows else 1
    images = pipeline.build_evaluation_images(
        [path for row in rows for path in row.paths],
        image_size=image_size,
        resize=resize,
        pixels=pixels,
        batch_size=batch_size * count,
    )
    starts = range(0, len(rows), batch_size)
    for start, batch in zip(starts, images, strict=True):
        values = input_rows.stack_rows(inputs, rows[start : start + batch_size])
        values[pictures.NAME] = tf.reshape(batch, [-1, count, *batch.shape[1:]])
        yield {name: _convert(value) for name, value in values.items()}


def _convert(value: np.ndarray | tf.Tensor) -> tf.Tensor:
    if value.dtype == object:  # Words.
        return tf.constant(value.tolist(), tf.string)
    # Numbers are float64 for the solvers.
    return tf.cast(value, tf.float32)
