"""How sure a classifier is of its class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_finetune.evaluation import calibration
from tf_finetune.tasks import energy


class Certainty:
    """One temperature for all logits; the free energy of the softmax."""

    def tempering(
        self, names: Sequence[str], num_pictures: int, *, seed: int
    ) -> "Tempering":
        """Returns what looks at all pictures."""
        del names, num_pictures, seed
        return Tempering()

    def strangeness(self, logits: tf.Tensor) -> tf.Tensor:
        """Returns the free energy of [batch, classes] logits, [batch]."""
        return energy.free(logits)


CERTAINTY = Certainty()


class Tempering:
    """Finds the temperature with the lowest log loss."""

    def __init__(self) -> None:
        """Begins with the first picture."""
        self._logits: list[np.ndarray] = []
        self._targets: list[np.ndarray] = []

    def add(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Takes [batch, classes] logits and one-hot labels."""
        self._logits.append(logits)
        self._targets.append(targets)

    def found(self) -> calibration.Calibration:
        """Returns the temperature of all that was added."""
        return calibration.calibrate(
            np.concatenate(self._logits),
            np.argmax(np.concatenate(self._targets), axis=1),
        )

    def moved(
        self, decision: Mapping[str, Any], temperature: float
    ) -> Mapping[str, Any]:
        """Returns the decision as it is: the likeliest class stays."""
        del temperature
        return decision
