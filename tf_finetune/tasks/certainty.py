"""Calibration and out-of-distribution scores: protocols and shared parts.

The score is an energy, computed from logits. It has no fixed range; a higher
one means that a picture is less like the training pictures. Choose a threshold
on pictures of both kinds.
"""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
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

    def ood_score(self, logits: tf.Tensor) -> tf.Tensor:
        """Returns the out-of-distribution score of each picture, [batch].

        The higher, the less a picture is like the training pictures.

        Args:
            logits: [batch, …, outputs], as trained.
        """


class TemperatureScaling(abc.ABC):
    """Fits the temperature that calibrates the probabilities of a network."""

    @abc.abstractmethod
    def add(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Adds a batch of pictures, [batch, …] each; see `Network.targets`."""

    @abc.abstractmethod
    def fit_temperature(self) -> "temperature_scaling.Calibration":
        """Fits the temperature on everything added so far."""

    def convert_decision(
        self, decision: Mapping[str, Any], temperature: float
    ) -> Mapping[str, Any]:
        """Converts a decision so that calibrated answers stay the same.

        Unless overridden it stays: division by a temperature keeps the order of
        the logits, and the likeliest class.

        Args:
            decision: Made on validation, such as thresholds; may be empty.
            temperature: All logits are divided by it.
        """
        del temperature
        return decision


class CollectedLogits(TemperatureScaling):
    """Temperature of a task whose logits of a split fit into memory."""

    def __init__(
        self,
        fit: "Callable[..., temperature_scaling.Calibration]",
    ) -> None:
        """Starts without pictures.

        Args:
            fit: All logits and all targets → the temperature.
        """
        self._fit = fit
        self._logits: list[np.ndarray] = []
        self._targets: list[np.ndarray] = []

    @property
    def logits(self) -> np.ndarray:
        """The logits of all pictures added."""
        return np.concatenate(self._logits)

    def add(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Adds [batch, outputs] logits and targets."""
        self._logits.append(logits)
        self._targets.append(targets)

    def fit_temperature(self) -> "temperature_scaling.Calibration":
        """Fits the temperature on all pictures added."""
        return self._fit(self.logits, np.concatenate(self._targets))


def free_energy(logits: tf.Tensor) -> tf.Tensor:
    """Computes the free energy -log(sum(exp(logits))) of one softmax.

    Args:
        logits: [batch, …, classes], as trained.

    Returns:
        [batch, …].

    Source: Liu et al. 2020, "Energy-based Out-of-distribution Detection",
    equation 4, with a temperature of 1.
    """
    return -tf.reduce_logsumexp(logits, axis=-1)


def joint_energy(logits: tf.Tensor) -> tf.Tensor:
    """Computes the sum of the free energies of independent labels.

    Each label's is -log(1 + exp(logit)), over its two states, present and
    absent. The paper's JointEnergy is the same with the other sign.

    Args:
        logits: [batch, labels], as trained.

    Returns:
        [batch].

    Source: Wang et al. 2021, "Can multi-label classification networks know
    what they don't know?", section 3.
    """
    # softplus(z) = log(1 + exp(z)), without overflow for a large z.
    return -tf.reduce_sum(tf.nn.softplus(logits), axis=-1)
