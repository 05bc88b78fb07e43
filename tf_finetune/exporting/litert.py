"""LiteRT files (`.tflite`) for phones and boards, in four number formats."""

import functools
import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.data import decoding
from tf_finetune.exporting import (
    catalog,
    freezing,
    litert_labels,
    parity,
    quantised,
    single_file,
)
from tf_finetune.exporting import job as jobs

_SUFFIX = catalog.SUFFIXES["litert"]
_SCRIPT = "litert.py"

# The same float32 weights; batch norm is folded into them and XNNPACK sums in
# another order.
FLOAT32_TOLERANCE = 1e-4
# Weights rounded to float16's 11 bits, so by up to 5e-4 of themselves, which
# adds up from layer to layer. Measured: 0.023 for MobileNet 0.25, of which
# 0.013 for its Keras weights rounded likewise; batch norm folded into them
# before is the rest.
FLOAT16_TOLERANCE = 3e-2


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes `model.tflite`, all float32, and proves it; returns the file.

    Takes `images`, float32 [batch, size, size, 3], RGB 0..255 (batch 1 unless
    the interpreter is told another), gives probabilities [batch, classes].
    Only LiteRT's own operations, so that its stock interpreter runs it.
    Labels are inside, as `labels.txt` of LiteRT's metadata.

    Raises:
        RunError: It computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
    return _write(job, "model", _converter(job), FLOAT32_TOLERANCE)


def write_float16(job: jobs.ExportJob) -> pathlib.Path:
    """Writes `model_float16.tflite`: weights of half the size.

    Otherwise as `write`; input, output and arithmetic stay float32 where the
    device has nothing faster.
    """
    converter = _converter(job)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return _write(job, "model_float16", converter, FLOAT16_TOLERANCE)


def write_dynamic(job: jobs.ExportJob) -> pathlib.Path:
    """Writes `model_dynamic.tflite`: int8 weights, float32 outside.

    Otherwise as `write`; ranges of activations are found while it runs. It is
    judged by `quantised.judge`.
    """
    converter = _converter(job)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return _write(job, "model_dynamic", converter, None)


def write_int8(job: jobs.ExportJob) -> pathlib.Path:
    """Writes `model_int8.tflite`: integers throughout; returns the file.

    Takes uint8 and gives uint8, because accelerators without floating point
    take nothing else and a camera gives bytes: a pixel goes in as it is, and
    an output is a probability in steps of 1/256. The ranges in between are
    measured on training pictures. It is judged by `quantised.judge`.

    Raises:
        RunError: It decides differently too often; nothing is left of it.
        UsageError: The run names no training pictures, or the destination
            cannot be written.
    """
    if not job.calibration:
        raise errors.UsageError(
            "--format=litert_int8 measures ranges on training pictures, and "
            "this run's proof.json names none that are still there: it was "
            "trained by an earlier version, or they have changed. Train "
            "again, or use --format=litert_dynamic, which needs none."
        )
    converter = _converter(job)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = functools.partial(_calibration, job)
    only = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.target_spec.supported_ops = only
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    return _write(job, "model_int8", converter, None)


def _converter(job: jobs.ExportJob) -> tf.lite.TFLiteConverter:
    frozen = freezing.of_job(job)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [frozen], tf.Module()
    )
    # No Flex operations: the stock interpreter does not have them.
    only = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.target_spec.supported_ops = only
    return converter


def _write(
    job: jobs.ExportJob,
    stem: str,
    converter: tf.lite.TFLiteConverter,
    allowed: float | None,
) -> pathlib.Path:
    if allowed is None:
        prove = functools.partial(quantised.prove, _SCRIPT, job)
    else:
        allowed = max(allowed, parity.tolerance(job))
        prove = single_file.prove_exact(_SCRIPT, job, allowed=allowed)

    def save(path: pathlib.Path) -> None:
        converted = converter.convert()
        path.write_bytes(
            litert_labels.added(converted, job.class_names, job.image_size)
        )

    return single_file.write(job.file(stem, _SUFFIX), save, prove)


def _calibration(job: jobs.ExportJob) -> Iterator[list[np.ndarray]]:
    for index, path in enumerate(job.calibration):
        picture = decoding.load(
            path, image_size=job.image_size, resize=job.resize
        )
        images = np.array(picture)[np.newaxis]
        if index == 0:
            # The input's range is 0..255 whatever the pictures hold, so that
            # a byte stands for its own value.
            images[0, 0, 0], images[0, -1, -1] = 0, 255
        yield [images]
