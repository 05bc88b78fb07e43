"""Float32 copies of models that were trained in mixed precision.

Such a model keeps its dtype policy in every file: the SavedModel returns
float16, and a `.keras` file goes on computing in float16.
"""

import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from tf_finetune.exports import job as jobs

INPUT_NAME, _OUTPUT_NAME = "images", "predictions"


def is_float32(model: keras.Model) -> bool:
    """Returns whether all layers compute and store their weights in float32."""
    return all(
        layer.dtype_policy.compute_dtype == "float32"
        and layer.dtype_policy.variable_dtype == "float32"
        for layer in _iterate_layers(model)
    )


def ensure_float32(model: keras.Model) -> keras.Model:
    """Returns the model itself if it is float32, else a float32 copy of it."""
    return model if is_float32(model) else copy_model(model)


def copy_model(model: keras.Model) -> keras.Model:
    """Copies a model with its weights in float32; shares nothing with it."""
    copy = rebuild_graph(model)
    with tempfile.TemporaryDirectory() as folder:
        # Through a file, not set_weights: a Normalization layer updates its
        # mean and variance only when it is loaded.
        path = pathlib.Path(folder) / "model.weights.h5"
        model.save_weights(path)
        copy.load_weights(path)
    return copy


def freeze_job(job: jobs.ExportJob) -> Any:
    """Freezes a job's model to a graph without variables, cached in the job.

    Freezing takes a third of the time of a conversion, and the formats of one
    command share one job and model. The cached graph holds a second copy of
    the weights for as long as the job exists.

    Args:
        job: Its `model` is frozen; the result is kept in its `shared`.

    Returns:
        A concrete function, as `freeze_model` returns it; the same object for
        further calls with the same model.
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
        model: Takes one tensor: RGB 0..255 [batch, size, size, 3], or for the
            last layers of such a model any feature tensor.
        size: Side of the input, pixels; None: the model's own input shape.

    Returns:
        A concrete function of the float32 tensor `images` of any batch size;
        its one output is named "predictions".
    """
    computing = ensure_float32(model)
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


def rebuild_graph(model: keras.Model) -> keras.Model:
    """Rebuilds a model's graph in float32 with freshly initialized weights."""
    return keras.models.clone_model(
        model, clone_function=_make_float32_layer, recursive=True
    )


def _make_float32_layer(layer: keras.Operation) -> keras.Operation:
    config = layer.get_config()
    if isinstance(layer, keras.Layer):
        config["dtype"] = "float32"
    # An operation such as `x + y` has no policy; its inputs' type decides.
    return type(layer).from_config(config)


def _iterate_layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _iterate_layers(layer)
        else:
            yield layer
