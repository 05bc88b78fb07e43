"""A model as one graph of constants, which converters read."""

from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from tf_finetune.exporting import job as jobs
from tf_finetune.exporting.graph import precision

INPUT, _OUTPUT = "images", "predictions"


def of_job(job: jobs.ExportJob) -> Any:
    """Returns a job's model as `frozen` does, once for all of its formats.

    That is a third of what conversion takes, and the formats of one command
    are given one job; the model does not change between them. Its weights are
    held once more until the job is gone.
    """
    model, function = job.shared.get("frozen", (None, None))
    if model is not job.model:
        function = frozen(job.model, job.image_size)
        job.shared["frozen"] = (job.model, function)
    return function


def frozen(model: keras.Model, size: int | None) -> Any:
    """Returns the model in float32 as a function without variables.

    Converters that are given variables keep them (LiteRT's calibration cannot
    read those), and some take a layer's statistics for inputs (ONNX's).

    Args:
        model: RGB 0..255 [batch, size, size, 3] → anything, or the end of
            such a model.
        size: Side of the input, pixels; None: as the model has its input.

    Returns:
        A concrete function of `images`, any batch.
    """
    computing = precision.in_float32(model)
    compiled = tf.function(
        lambda images: tf.identity(
            computing(images, training=False), name=_OUTPUT
        ),
        autograph=False,
    )
    shape = [size, size, 3] if size else model.inputs[0].shape[1:]
    spec = tf.TensorSpec([None, *shape], tf.float32, name=INPUT)
    return convert_to_constants.convert_variables_to_constants_v2(
        compiled.get_concrete_function(spec)
    )
