"""Frozen graphs: a model as one graph of constants, for converters."""

from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from tf_finetune.exports import job as jobs
from tf_finetune.exports.graph import float32_model

INPUT_NAME, _OUTPUT_NAME = "images", "predictions"


def freeze_job(job: jobs.ExportJob) -> Any:
    """Freezes a job's model as `freeze_model` does, once for all formats.

    Freezing takes a third of the time of a conversion, and the formats of one
    command share one job and model. The cached graph holds a second copy of
    the weights for as long as the job exists.
    """
    # Compared by identity: a job with another model must not get this graph.
    model, function = job.shared.get("frozen", (None, None))
    if model is not job.model:
        function = freeze_model(job.model, job.image_size)
        job.shared["frozen"] = (job.model, function)
    return function


def freeze_model(model: keras.Model, size: int | None) -> Any:
    """Freezes a model in float32 to a function without variables.

    Converters keep variables that they are given (LiteRT's calibration cannot
    read those), and ONNX's takes a layer's statistics for inputs.

    Args:
        model: RGB 0..255 [batch, size, size, 3] → any output, or the last
            part of such a model.
        size: Side of the input, pixels; None: the model's own input shape.

    Returns:
        A concrete function of `images`, any batch.
    """
    computing = float32_model.ensure_float32(model)
    # autograph=False: it would rewrite the source of Keras' layers. The
    # identity gives the output a name of our own.
    compiled = tf.function(
        lambda images: tf.identity(
            computing(images, training=False), name=_OUTPUT_NAME
        ),
        autograph=False,
    )
    shape = [size, size, 3] if size else model.inputs[0].shape[1:]
    spec = tf.TensorSpec([None, *shape], tf.float32, name=INPUT_NAME)
    return convert_to_constants.convert_variables_to_constants_v2(
        compiled.get_concrete_function(spec)
    )
