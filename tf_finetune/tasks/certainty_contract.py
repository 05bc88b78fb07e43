"""Protocols of temperature scaling and out-of-distribution scores."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_finetune.metrics import temperature_scaling


# Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2: one
# temperature for all logits, fitted on validation by log loss.


class Certainty(Protocol):
    """Calibration and out-of-distribution score of a task; loads TensorFlow."""

    def create_temperature_scaling(
        self, names: Sequence[str], num_pictures: int, *, seed: int
    ) -> "TemperatureScaling":
        """Returns an accumulator that fits the temperature on a split.

        Args:
            names: Of the outputs.
            num_pictures: Of the split.
            seed: Of random draws, if there are any.
        """

    def ood_score(self, logits: "tf.Tensor") -> "tf.Tensor":
        """Returns the out-of-distribution score of each picture, [batch].

        The higher, the less a picture is like the training pictures.

        Args:
            logits: [batch, …, outputs], as trained.
        """


class TemperatureScaling(Protocol):
    """Fits the temperature that calibrates the probabilities of a network."""

    def add(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Adds a batch of pictures, [batch, …] each; see `Network.targets`."""

    def fit_temperature(self) -> "temperature_scaling.Calibration":
        """Fits the temperature on everything added so far."""

    def convert_decision(
        self, decision: Mapping[str, Any], temperature: float
    ) -> Mapping[str, Any]:
        """Converts a decision so that calibrated answers stay the same.

        Args:
            decision: Made on validation, such as thresholds; may be empty.
            temperature: All logits are divided by it.
        """
