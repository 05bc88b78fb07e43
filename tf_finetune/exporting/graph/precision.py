"""Models that compute in float32, whatever they were trained in.

A model trained in mixed precision keeps its policy in every file: the
SavedModel returns float16 and a `.keras` file computes in float16 for ever.
"""

import pathlib
import tempfile
from collections.abc import Iterator

import keras


def is_float32(model: keras.Model) -> bool:
    """Tells if every layer computes and keeps its weights in float32."""
    return all(
        layer.dtype_policy.compute_dtype == "float32"
        and layer.dtype_policy.variable_dtype == "float32"
        for layer in _layers(model)
    )


def in_float32(model: keras.Model) -> keras.Model:
    """Returns the model itself if it is float32, else a float32 copy of it."""
    return model if is_float32(model) else copied(model)


def copied(model: keras.Model) -> keras.Model:
    """Returns a float32 copy of a model that shares nothing with it."""
    copy = rebuilt(model)
    with tempfile.TemporaryDirectory() as folder:
        # Through a file, not set_weights: only loading tells a Normalization
        # layer to take up its mean and variance.
        path = pathlib.Path(folder) / "model.weights.h5"
        model.save_weights(path)
        copy.load_weights(path)
    return copy


def rebuilt(model: keras.Model) -> keras.Model:
    """Returns the same graph in float32 with fresh weights."""
    return keras.models.clone_model(
        model, clone_function=_float32_layer, recursive=True
    )


def _float32_layer(layer: keras.Operation) -> keras.Operation:
    config = layer.get_config()
    if isinstance(layer, keras.Layer):
        config["dtype"] = "float32"
    # An operation such as `x + y` computes in whatever goes into it.
    return type(layer).from_config(config)


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer
