"""Inputs of a fused model: rows of a table, predicted and recorded."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import errors, files
from tf_finetune.config import model_options, pixel_options
from tf_finetune.data import pipeline
from tf_finetune.runs import context as contexts
from tf_finetune.tasks.regression.rows import (
    fused_model,
    row_pictures,
    row_table,
)

# Rows that the fused model is compared on, and rows that exports are.
_COMPARED_ROWS = 4
_PARITY_ROWS = 16
# In standard deviations of a target; float32 sums in another order stay far
# below it.
_TOLERANCE = 1e-3


def predict_rows(
    model: keras.Model,
    rows: Sequence[row_table.Row],
    *,
    resize: model_options.Resize,
    pixels: pixel_options.PixelOptions = pixel_options.DEFAULT,
    batch_size: int,
) -> np.ndarray:
    """Returns a fused model's predictions of rows, [n, targets].

    Args:
        model: As `fused_model.build_model` makes it.
        rows: All their pictures can be decoded.
        resize: How pictures become square.
        pixels: How their files are decoded.
        batch_size: Rows per step.
    """
    if not rows:
        return np.zeros([0, model.output_shape[-1]], "float32")
    specs = {
        each.name: tf.TensorSpec([None, *each.shape[1:]], each.dtype)
        for each in model.inputs
    }
    step = tf.function(
        lambda inputs: model(inputs, training=False),
        autograph=False,
        input_signature=[specs],
    )
    batches = stream_inputs(
        model, rows, resize=resize, pixels=pixels, batch_size=batch_size
    )
    return np.concatenate([np.asarray(step(each)) for each in batches])


def stream_inputs(
    model: keras.Model,
    rows: Sequence[row_table.Row],
    *,
    resize: model_options.Resize,
    pixels: pixel_options.PixelOptions = pixel_options.DEFAULT,
    batch_size: int,
) -> Iterator[dict[str, tf.Tensor]]:
    """Yields the inputs of a fused model, in batches."""
    shapes = {each.name: each.shape for each in model.inputs}
    # [batch, pictures a row, size, size, 3].
    _, count, size, *_ = shapes[fused_model.IMAGES]
    images = pipeline.build_evaluation_images(
        [path for row in rows for path in row.paths],
        image_size=size,
        resize=resize,
        pixels=pixels,
        batch_size=batch_size * count,
    )
    for start, batch in zip(
        range(0, len(rows), batch_size), images, strict=True
    ):
        numbers, words = row_table.stack_inputs(
            rows[start : start + batch_size]
        )
        found = {
            fused_model.IMAGES: tf.reshape(batch, [-1, count, *batch.shape[1:]])
        }
        if fused_model.NUMBERS in shapes:
            found[fused_model.NUMBERS] = tf.constant(numbers, tf.float32)
        if fused_model.WORDS in shapes:
            found[fused_model.WORDS] = tf.constant(
                [list(each) for each in words]
            )
        yield found


def check_fused_model(
    context: contexts.RunContext,
    model: keras.Model,
    joined: row_pictures.JoinedRows,
    said: Mapping[str, np.ndarray],
) -> None:
    """Compares the fused model on real pictures with the solved parts.

    Raises:
        RunError: They differ by more than rounding.
    """
    rows = joined.rows[:_COMPARED_ROWS]
    got = predict_rows(
        model,
        rows,
        resize=context.config.model.resize,
        pixels=context.config.model.pixels,
        batch_size=_COMPARED_ROWS,
    )
    expected = context.task.network.finish(said["validation"][: len(rows)])
    forward = context.task.network.transform.forward
    # Compared after the transform, in which targets have unit variance.
    difference = float(np.abs(forward(got) - forward(expected)).max())
    logging.info(
        "fused model check: predictions of %d rows from pictures and from the "
        "cache agree to %.1e standard deviations",
        len(rows),
        difference,
    )
    if not difference <= _TOLERANCE:
        raise errors.RunError(
            "The fused model does not compute what was solved: predictions "
            f"differ by {difference:.1e} standard deviations. Run `python -m "
            f"tf_finetune.cache --cache_dir={context.cache_dir} --clear=all` "
            "and repeat the command; if that does not help, please report it."
        )


def write_fused_json(
    context: contexts.RunContext,
    model: keras.Model,
    found: Mapping[str, row_pictures.JoinedRows],
) -> None:
    """Writes fused.json: the columns, and rows that exports are checked on."""
    options, place = context.config.data, context.place
    # Spread evenly over the last split, which is test if there is one.
    *_, last = found.values()
    count = len(last.rows)
    chosen = np.linspace(0, count - 1, min(count, _PARITY_ROWS)).astype(int)
    rows = [last.rows[index] for index in chosen]
    predictions = predict_rows(
        model,
        rows,
        resize=context.config.model.resize,
        pixels=context.config.model.pixels,
        batch_size=_COMPARED_ROWS,
    )
    files.write_json(
        place.fused_json,
        {
            "image_column": list(options.image_column),
            "numeric_columns": list(options.numeric_columns),
            "categorical_columns": list(options.categorical_columns),
            "proof": [
                _make_parity_row(row, values)
                for row, values in zip(rows, predictions, strict=True)
            ],
        },
    )


def _make_parity_row(row: row_table.Row, values: np.ndarray) -> dict[str, Any]:
    return {
        "paths": list(row.paths),
        # JSON has no NaN.
        "numbers": [None if np.isnan(x) else x for x in row.numbers],
        "whole_words": list(row.whole_words),
        "sha256": [files.sha256(path) for path in row.paths],
        "values": values.astype("float64").tolist(),
    }
