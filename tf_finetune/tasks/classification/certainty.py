"""Temperature scaling and out-of-distribution score of a classifier."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_finetune.metrics import temperature_scaling
from tf_finetune.tasks import energy_scores


class Certainty:
    """One temperature for all logits; the free energy of the softmax."""

    def create_temperature_scaling(
        self, names: Sequence[str], num_pictures: int, *, seed: int
    ) -> "TemperatureScaling":
        """Returns an accumulator of all pictures' logits."""
        del names, num_pictures, seed
        return TemperatureScaling()

    def ood_score(self, logits: tf.Tensor) -> tf.Tensor:
        """Returns the free energy of [batch, classes] logits, [batch]."""
        return energy_scores.free_energy(logits)


CERTAINTY = Certainty()


class TemperatureScaling:
    """Fits the temperature with the lowest log loss."""

    def __init__(self) -> None:
        """Starts without pictures."""
        self._logits: list[np.ndarray] = []
        self._targets: list[np.ndarray] = []

    def add(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Adds [batch, classes] logits and one-hot labels."""
        self._logits.append(logits)
        self._targets.append(targets)

    def fit_temperature(self) -> temperature_scaling.Calibration:
        """Fits the temperature on all pictures added."""
        return temperature_scaling.fit_temperature(
            np.concatenate(self._logits),
            # From one-hot targets to class indices.
            np.argmax(np.concatenate(self._targets), axis=1),
        )

    def convert_decision(
        self, decision: Mapping[str, Any], temperature: float
    ) -> Mapping[str, Any]:
        """Returns the decision unchanged: the likeliest class stays."""
        # Division by a temperature keeps the order of the logits.
        del temperature
        return decision
