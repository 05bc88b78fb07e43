"""Runs a network layer by layer on real pictures, so that each can be seen."""

import collections
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.backbones import topology
from tf_finetune.backbones.surgery import graph_copy

Call = Callable[[], tf.Tensor]
Visit = Callable[[keras.Operation, Sequence[tf.Tensor], Call], tf.Tensor]


def run_layers(model: keras.Model, images: np.ndarray, visit: Visit) -> None:
    """Runs a network's operations in order, in inference mode.

    An output is dropped from memory as soon as all its readers have run.

    Args:
        model: Flat graph of one input, each layer called once.
        images: RGB 0..255, float32 [pictures, height, width, 3].
        visit: Called for each operation with its input tensors and a function
            that runs it; returns its output, which later operations read. It
            may change the operation's weights before it runs it.
    """
    calls = topology.find_calls(model)
    readers = collections.Counter(
        id(tensor) for made in calls.values() for tensor in made.input_tensors
    )
    values = {id(model.inputs[0]): tf.convert_to_tensor(images)}
    for operation, made in calls.items():
        if isinstance(operation, keras.layers.InputLayer):
            continue
        sources = [id(each) for each in made.input_tensors]
        arguments, keywords = graph_copy.map_arguments(made, values)

        def call(operation=operation, arguments=arguments, keywords=keywords):
            return operation(*arguments, **keywords)

        values[id(made.output_tensors[0])] = visit(
            operation, [values[each] for each in sources], call
        )
        for source in sources:
            readers[source] -= 1
            if not readers[source]:
                del values[source]


def call_linearly(operation: keras.Operation, call: Call) -> tf.Tensor:
    """Runs a layer without the activation that is built into it.

    Args:
        operation: Layer, with or without an attribute `activation`; it is as
            before when this returns.
        call: Runs the layer.

    Returns:
        Its output before the activation.
    """
    activation = getattr(operation, "activation", None)
    if activation is None:
        return call()
    operation.activation = keras.activations.linear
    try:
        return call()
    finally:
        operation.activation = activation
