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
        """Creates an accumulator that fits the temperature on a split.

        Args:
            names: Names of the outputs.
            num_pictures: Number of pictures that will be added.
            seed: Seed of random draws, if there are any.
        """

    def ood_score(self, logits: tf.Tensor) -> tf.Tensor:
        """Computes the out-of-distribution score of each picture.

        Args:
            logits: [batch, …, outputs], not divided by a temperature.

        Returns:
            [batch], unbounded; the higher, the less a picture is like the
            training pictures.
        """


class TemperatureScaling(abc.ABC):
    """Accumulator that fits the temperature of calibrated probabilities."""

    @abc.abstractmethod
    def add(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Adds the logits and targets of a batch of pictures.

        Args:
            logits: [batch, …, outputs], not divided by a temperature.
            targets: [batch, …], as `contracts.Network.targets` gives them.
        """

    @abc.abstractmethod
    def fit_temperature(self) -> "temperature_scaling.Calibration":
        """Fits the temperature on all pictures added so far.

        Returns:
            The temperature, with log loss and calibration error before and
            after; nothing is reset.
        """

    def convert_decision(
        self, decision: Mapping[str, Any], temperature: float
    ) -> Mapping[str, Any]:
        """Converts a decision so that calibration changes no prediction.

        A decision holds values chosen on validation, such as the thresholds
        of multi-label classification. Unless overridden, it is returned as
        it is: dividing by a temperature keeps the likeliest class.

        Args:
            decision: As `Task.decide` returns it; may be empty.
            temperature: Divisor of all logits, above 0.

        Returns:
            The decision for calibrated probabilities.
        """
        del temperature
        return decision


class CollectedLogits(TemperatureScaling):
    """Temperature scaling of a task whose logits of a split fit into memory.

    Args:
        fit: Function that gets all logits and all targets, in the order added,
            and returns the temperature with its metrics.
    """

    def __init__(
        self,
        fit: "Callable[..., temperature_scaling.Calibration]",
    ) -> None:
        """Starts without pictures."""
        self._fit = fit
        self._logits: list[np.ndarray] = []
        self._targets: list[np.ndarray] = []

    @property
    def logits(self) -> np.ndarray:
        """Logits of all pictures added, [n, outputs]."""
        return np.concatenate(self._logits)

    def add(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Adds the logits and targets of a batch, both [batch, outputs]."""
        self._logits.append(logits)
        self._targets.append(targets)

    def fit_temperature(self) -> "temperature_scaling.Calibration":
        """Fits the temperature; see `TemperatureScaling.fit_temperature`."""
        return self._fit(self.logits, np.concatenate(self._targets))


def free_energy(logits: tf.Tensor) -> tf.Tensor:
    """Computes the free energy -log(sum(exp(logits))) of one softmax.

    Args:
        logits: [batch, …, classes], not divided by a temperature.

    Returns:
        [batch, …]; higher for pictures unlike the training data.

    Source: Liu et al. 2020, "Energy-based Out-of-distribution Detection",
    equation 4, with a temperature of 1.
    """
    return -tf.reduce_logsumexp(logits, axis=-1)


def joint_energy(logits: tf.Tensor) -> tf.Tensor:
    """Computes the sum of the free energies of independent labels.

    The free energy of a label is -log(1 + exp(logit)), over its two states,
    present and absent. The paper's JointEnergy has the opposite sign.

    Args:
        logits: [batch, labels], not divided by a temperature.

    Returns:
        [batch]; higher for pictures unlike the training data.

    Source: Wang et al. 2021, "Can multi-label classification networks know
    what they don't know?", section 3.
    """
    # softplus(z) = log(1 + exp(z)), without overflow for a large z.
    return -tf.reduce_sum(tf.nn.softplus(logits), axis=-1)
