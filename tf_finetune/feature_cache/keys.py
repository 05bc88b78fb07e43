"""Keys of cache entries: a hash of the network and its input settings."""

import hashlib
import json
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.config import model_options
from tf_finetune.data.images import decoding


def hash_network(
    model: keras.Model,
    *,
    image_size: int,
    resize: model_options.Resize,
    pixels: model_options.PixelOptions = model_options.DEFAULT_PIXELS,
) -> str:
    """Hashes a network and its input settings to the key of its outputs.

    Two networks with the same key give the same output for a picture. Hashed
    are the weights, the graph (layers by position, since Keras numbers their
    names by a counter of the process), its output tensors, the size and kind of
    resizing, the handling of transparency and 16-bit values, the versions of
    TensorFlow and of the decoder, and the kernels in use, whose results differ
    in the last digits.

    Args:
        model: A functional model, with its weights.
        image_size: Side of the model's input, pixels.
        resize: How pictures become square.
        pixels: How picture files are decoded.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.sha256()
    facts = [
        _describe_graph(model),
        image_size,
        resize,
        pixels.key,
        tf.__version__,
        decoding.VERSION,
        os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        [device.device_type for device in tf.config.list_physical_devices()],
    ]
    digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    # Weights by value, so that equal networks of different runs share features.
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:32]  # 128 bits.


def _describe_graph(model: keras.Model) -> list[Any]:
    """Returns every operation's settings and inputs, by position."""
    place = {
        id(operation.output): index
        for index, operation in enumerate(model.operations)
    }
    operations = [
        [
            type(operation).__name__,
            _describe_settings(operation),
            [
                place[id(tensor)]
                for tensor in keras.tree.flatten(operation.input)
                if id(tensor) in place
            ],
        ]
        for operation in model.operations
    ]
    return [operations, [place[id(tensor)] for tensor in model.outputs]]


def _describe_settings(operation: keras.Operation) -> Any:
    """Returns an operation's config without names, at any depth."""
    return _drop_names(operation.get_config())


def _drop_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _drop_names(each)
            for name, each in value.items()
            # `trainable` does not change the output of a frozen network.
            if name not in ("name", "registered_name", "trainable")
        }
    if isinstance(value, (list, tuple)):
        return [_drop_names(each) for each in value]
    return value
