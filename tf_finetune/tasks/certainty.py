"""What a task is asked of how sure its network is, whatever the task."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_finetune.evaluation import calibration


class Certainty(Protocol):
    """How sure a network is, and how usual a picture; loads TensorFlow."""

    def tempering(
        self, names: Sequence[str], num_pictures: int, *, seed: int
    ) -> "Tempering":
        """Returns what finds the temperature of a split.

        Args:
            names: Of the outputs.
            num_pictures: Of the split.
            seed: Of random draws, if there are any.
        """

    def strangeness(self, logits: "tf.Tensor") -> "tf.Tensor":
        """Returns how far pictures are from those that were learnt, [batch].

        Args:
            logits: [batch, …, outputs], as trained.
        """


class Tempering(Protocol):
    """Finds the temperature at which probabilities mean what they say."""

    def add(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Takes the next pictures, [batch, …] each; see `Network.targets`."""

    def found(self) -> "calibration.Calibration":
        """Returns the temperature of all that was added."""

    def moved(
        self, decision: Mapping[str, Any], temperature: float
    ) -> Mapping[str, Any]:
        """Returns the decision with which the same is answered.

        Args:
            decision: What was decided on validation; may be empty.
            temperature: What all logits are divided by.
        """
