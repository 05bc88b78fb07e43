"""Export to LiteRT (`.tflite`): float32, float16, dynamic range and int8."""

import functools
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.data.images import decoding
from tf_finetune.exports import (
    catalog,
    float32_model,
    litert_file,
    pending_exports,
)
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import export_refusal, file_checks, parity_check
from tf_finetune.tasks import catalog as tasks

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
# Alternatives to suggest for a file that is refused, the closest first.
_ALTERNATIVES = {
    "model_int8": ("litert_dynamic", "litert_float16", "litert"),
    "model_dynamic": ("litert_float16", "litert"),
    "model_float16": ("litert",),
    "model": ("onnx", "keras"),
}
# Mean difference of the probabilities of all pixels. Measured: 0.004 for
# membranes (two classes), 0.0007 for CamVid (eleven); int8: 0.06 and 0.01.
FLOAT16_MEAN = 1e-2
_ConfigureConverter = Callable[[tf.lite.TFLiteConverter], None]


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes `model.tflite`, all float32, and checks it.

    The file takes `images`, float32 [batch, size, size, 3], RGB 0..255 (batch
    1 unless the interpreter resizes it), and returns predictions [batch, …,
    outputs]. It has only LiteRT's own operations, so that the stock
    interpreter runs it, and holds the labels and the values that the task
    chose on validation as `labels.txt` and `decision.json` of its metadata.

    Returns:
        Path of the written file.

    Raises:
        RunError: LiteRT cannot convert the network, or the file predicts
            something else; it is removed.
        UsageError: The destination cannot be written.
    """
    path = job.file("model", _SUFFIX)
    with pending_exports.open_file(path) as file:
        _save(_convert_graph(float32_model.freeze_job(job)), file, job)
        allowed = max(FLOAT32_TOLERANCE, parity_check.choose_tolerance(job))
        figures = file_checks.check_exact(
            _SCRIPT, file, job, allowed=allowed, instead=_ALTERNATIVES["model"]
        )
        file.record_figures(figures)
    return path


def write_float16(job: jobs.ExportJob) -> pathlib.Path:
    """Writes `model_float16.tflite`, with weights of half the size.

    Input, output and, where the device has nothing faster, arithmetic stay
    float32; otherwise the file is as that of `write`. Predictions of pixels
    (maps) are checked by decisions and by the mean difference: of so many
    pixels some are always at the edge of two classes, and have the largest
    difference. Where `job.tolerance` allows a loss only the loss is checked.

    Returns:
        Path of the written file.

    Raises:
        RunError: LiteRT cannot convert the network, or the check fails; the
            file is removed.
        UsageError: The destination cannot be written.
    """

    def change(converter: tf.lite.TFLiteConverter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    path = job.file("model_float16", _SUFFIX)
    with pending_exports.open_file(path) as file:
        _save(_convert_with_float32_end(job, change), file, job)
        file.record_figures(_check_float16(file, job))
    return path


def write_dynamic(job: jobs.ExportJob) -> pathlib.Path:
    """Writes `model_dynamic.tflite`: int8 weights, float32 input and output.

    Ranges of activations are computed at run time (dynamic range
    quantization). `file_checks.check_decisions` checks the file.

    Returns:
        Path of the written file.

    Raises:
        RunError: LiteRT cannot convert the network, or too many decisions
            differ; the file is removed.
        UsageError: The destination cannot be written.
    """

    def change(converter: tf.lite.TFLiteConverter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]

    return _write_quantized(job, "model_dynamic", change)


def write_int8(job: jobs.ExportJob) -> pathlib.Path:
    """Writes `model_int8.tflite`, which computes in integers throughout.

    It takes and returns uint8, because accelerators without floating point
    need it and a camera gives bytes: a pixel goes in unchanged, and an output
    is a probability in steps of 1/256. Predictions of unbounded size are
    float32: the layers that compute them from the logits are not quantized.
    The ranges of activations are measured on the pictures in
    `job.calibration`. `file_checks.check_decisions` checks the file.

    Returns:
        Path of the written file.

    Raises:
        RunError: LiteRT cannot convert the network, or too many decisions
            differ; the file is removed.
        UsageError: `job.calibration` is empty, or the destination cannot be
            written.
    """
    if not job.calibration:
        raise errors.UsageError(
            "--format=litert_int8 measures the ranges of activations on "
            "training pictures, and this run's proof.json names none that are "
            "still there: it was trained by an earlier version, or they have "
            "changed. Train again, or use --format=litert_dynamic, which "
            "needs none."
        )
    end = tf.float32 if _has_unbounded_predictions(job) else tf.uint8

    def change(converter: tf.lite.TFLiteConverter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = functools.partial(
            _iterate_calibration_images, job
        )
        only = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.target_spec.supported_ops = only
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = end

    return _write_quantized(job, "model_int8", change)


def _write_quantized(
    job: jobs.ExportJob, stem: str, change: _ConfigureConverter
) -> pathlib.Path:
    path = job.file(stem, _SUFFIX)
    with pending_exports.open_file(path) as file:
        _save(_convert_with_float32_end(job, change), file, job)
        figures = file_checks.check_file(
            _SCRIPT, file, job, instead=_ALTERNATIVES[stem]
        )
        file.record_figures(figures)
    return path


def _save(
    content: bytes, file: pending_exports.PendingFile, job: jobs.ExportJob
) -> None:
    file.temporary.write_bytes(litert_file.add_metadata(content, job))


def _check_float16(
    file: pending_exports.PendingFile, job: jobs.ExportJob
) -> Mapping[str, Any]:
    instead = _ALTERNATIVES["model_float16"]
    # More than [pictures, outputs]: a map, one prediction per pixel.
    if job.tolerance or np.ndim(job.proof.predictions) > 2:
        return file_checks.check_file(
            _SCRIPT, file, job, mean_allowed=FLOAT16_MEAN, instead=instead
        )
    allowed = max(FLOAT16_TOLERANCE, parity_check.choose_tolerance(job))
    try:
        return file_checks.check_exact(_SCRIPT, file, job, allowed=allowed)
    except export_refusal.ExportRefusedError as refused:
        raise file_checks.add_tolerance_advice(
            refused, _SCRIPT, job, file.temporary, instead
        ) from refused


def _convert_with_float32_end(
    job: jobs.ExportJob, change: _ConfigureConverter
) -> bytes:
    """Converts a model; layers after unbounded logits stay in float32.

    Otherwise all targets would share one scale, and no number could exceed
    65504, the largest float16. Measured on houses: in int8 every one got 0
    bedrooms beside its price, in float16 prices were off by half their range.
    """
    if not _has_unbounded_predictions(job):
        return _convert_graph(float32_model.freeze_job(job), change)
    # Split at the logits: the network is converted as asked, the layers behind
    # them in float32, and both files are joined to one.
    model = float32_model.ensure_float32(job.model)
    logits = tasks.TASKS.get(job.task).network.find_logits(model)
    network = keras.Model(model.inputs, logits, name="network")
    # Named, because Keras counts default names through the whole process and
    # tensors get them: equal models would give different files.
    end = keras.Model(logits, model.outputs, name="end")
    return litert_file.join_models(
        _convert_graph(
            float32_model.freeze_model(network, job.image_size), change
        ),
        _convert_graph(float32_model.freeze_model(end, None)),
    )


def _has_unbounded_predictions(job: jobs.ExportJob) -> bool:
    return tasks.TASKS.get(job.task).relative_predictions


def _convert_graph(
    frozen: Any, change: _ConfigureConverter | None = None
) -> bytes:
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [frozen], tf.Module()
    )
    # No Flex (TensorFlow) operations: the stock interpreter lacks them.
    only = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.target_spec.supported_ops = only
    if change:
        change(converter)
    try:
        return converter.convert()
    except Exception as error:  # Any pass of the converter may fail.
        # The first lines say which operation is missing; the whole graph
        # follows.
        said = " ".join(str(error).split())[:300]
        raise export_refusal.ExportRefusedError(
            "This network cannot be converted to LiteRT: the converter fails "
            f"with {said!r}.",
            instead=("onnx", "keras", "saved_model"),
        ) from error


def _iterate_calibration_images(
    job: jobs.ExportJob,
) -> Iterator[list[np.ndarray]]:
    for index, path in enumerate(job.calibration):
        picture = decoding.load_file(path, job.square)
        images = np.array(picture)[np.newaxis]
        if index == 0:
            # Fixes the input's range to 0..255 whatever the pictures hold, so
            # that scale is 1 and a byte stands for its own value.
            images[0, 0, 0], images[0, -1, -1] = 0, 255
        yield [images]
