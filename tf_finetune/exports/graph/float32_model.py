"""Float32 copies of models that were trained in mixed precision.

Such a model keeps its dtype policy in every file: the SavedModel returns
float16, and a `.keras` file goes on computing in float16.
"""

import pathlib
import tempfile
from collections.abc import Iterator

import keras


def is_float32(model: keras.Model) -> bool:
    """Returns whether all layers compute and store weights in float32."""
    return all(
        layer.dtype_policy.compute_dtype == "float32"
        and layer.dtype_policy.variable_dtype == "float32"
        for layer in _iterate_layers(model)
    )


def ensure_float32(model: keras.Model) -> keras.Model:
    """Returns the model itself if it is float32, else a float32 copy of it."""
    return model if is_float32(model) else copy_model(model)


def copy_model(model: keras.Model) -> keras.Model:
    """Copies a model in float32; the copy shares no weights with it."""
    copy = rebuild_graph(model)
    with tempfile.TemporaryDirectory() as folder:
        # Through a file, not set_weights: a Normalization layer updates its
        # mean and variance only when it is loaded.
        path = pathlib.Path(folder) / "model.weights.h5"
        model.save_weights(path)
        copy.load_weights(path)
    return copy


def rebuild_graph(model: keras.Model) -> keras.Model:
    """Rebuilds the same graph in float32 with new weights."""
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
