"""Network that remembers logits from before its fine-tuning.

Without pictures of a class, nothing but the network itself knows of it. What it
said of the class on other pictures is what training may not change: the
gradient of a softmax alone, in which the class is missing, leaves its logits to
chance.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

# Weight of the penalty beside the loss of the classes with pictures.
_WEIGHT = 1.0


class RememberingNetwork(keras.layers.Layer):
    """Layer that computes a network and penalizes changes of some logits.

    In training, the mean squared difference from the logits of the first
    weights, of the same inputs without dropout, joins the losses.

    Source: Li and Hoiem 2016, "Learning without Forgetting", section 3, with
    the squared error of logits (Ba and Caruana 2014, "Do Deep Nets Really Need
    to be Deep?", equation 2) in place of their softened probabilities, which
    would leave the logits free to move together.
    """

    def __init__(self, network: keras.Model, places: Sequence[int]) -> None:
        """Wraps a network, whose layers and variables are shared.

        Args:
            network: Functional model to logits; its present weights are those
                that it remembers.
            places: The logits that are to stay.
        """
        super().__init__(name="remembering_network", dtype="float32")
        self.network, self._places = network, [*places]
        values = [
            (each, keras.ops.convert_to_tensor(np.array(each)))
            for each in network.trainable_variables
        ]
        # In a function, in which Keras does not look for weights.
        self._read_first = lambda: values

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Computes the logits [batch, classes] of the network."""
        logits = self.network(inputs, training=training)
        if not training:
            return logits
        with keras.StatelessScope(state_mapping=self._read_first()):
            first = self.network(inputs, training=False)
        change = keras.ops.take(
            keras.ops.cast(logits, "float32")
            - keras.ops.cast(keras.ops.stop_gradient(first), "float32"),
            self._places,
            axis=-1,
        )
        self.add_loss(_WEIGHT * keras.ops.mean(keras.ops.square(change)))
        return logits


def build_trainer(network: keras.Model, places: Sequence[int]) -> keras.Model:
    """Builds a model with the inputs and outputs of a network that remembers.

    Args:
        network: Functional model to logits; its layers are shared.
        places: The logits that are to stay.
    """
    inputs = [
        keras.Input(each.shape[1:], dtype=each.dtype) for each in network.inputs
    ]
    inputs = inputs if len(inputs) > 1 else inputs[0]
    outputs = RememberingNetwork(network, places)(inputs)
    return keras.Model(inputs, outputs, name=network.name)
