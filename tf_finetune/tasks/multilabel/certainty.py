"""Temperature scaling and out-of-distribution score of a multi-label model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import special

from tf_finetune.metrics import (
    classification_metrics,
    multilabel_metrics,
    temperature_scaling,
)
from tf_finetune.tasks import certainty
from tf_finetune.tasks.multilabel import label_thresholds


class Certainty:
    """Temperature scaling and joint energy of independent sigmoids."""

    def create_temperature_scaling(
        self, names: Sequence[str], num_pictures: int, *, seed: int
    ) -> "TemperatureScaling":
        """Creates an accumulator of all logits.

        Args:
            names: Names of the labels, in the order of the logits.
            num_pictures: Not used.
            seed: Not used.
        """
        del num_pictures, seed
        return TemperatureScaling(names)

    def ood_score(self, logits: tf.Tensor) -> tf.Tensor:
        """Computes the joint energy [batch] of logits [batch, labels]."""
        return certainty.joint_energy(logits)


CERTAINTY = Certainty()


class TemperatureScaling(certainty.CollectedLogits):
    """Fits the temperature with the lowest binary cross-entropy.

    Args:
        names: Names of the labels, in the order of the logits.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Starts without pictures."""
        super().__init__(fit_temperature)
        self._names = names

    def convert_decision(
        self, decision: Mapping[str, Any], temperature: float
    ) -> Mapping[str, Any]:
        """Converts thresholds so that calibration changes no predicted label.

        Args:
            decision: With `thresholds` by label; 0.5 for those missing.
            temperature: Divisor of all logits, above 0.

        Returns:
            A new decision with the converted `thresholds`.

        Raises:
            RunError: No threshold exists, because probabilities that
                differed are equal in float32 at this temperature.
        """
        bounds = label_thresholds.convert_thresholds(
            label_thresholds.read_thresholds(decision, self._names),
            self.logits,
            temperature,
        )
        named = dict(zip(self._names, bounds.tolist(), strict=True))
        return {**decision, "thresholds": named}


def fit_temperature(
    logits: np.ndarray, targets: np.ndarray
) -> temperature_scaling.Calibration:
    """Fits the temperature of sigmoids by binary cross-entropy.

    Args:
        logits: [n, labels].
        targets: [n, labels], 1 where a picture carries a label, else 0.

    Returns:
        The temperature, within 0.05..20, with log loss and calibration error
        (over all pairs of picture and label) before and after. It is 1 where
        0.5 separates all present labels from all absent ones: there the loss
        falls without end as the temperature does.
    """
    logits, targets = np.asarray(logits, "float64"), np.asarray(targets) > 0
    # log(1 + exp(-margin / T)) is the binary cross-entropy at temperature T.
    margins = np.where(targets, logits, -logits)
    temperature = 1.0
    # Without an error the loss falls for ever as T goes to 0.
    if not np.all(margins > 0):
        temperature = temperature_scaling.search_temperature(
            lambda each: float(np.mean(np.logaddexp(0, -margins / each)))
        )
    # Log loss and calibration error before (temperature 1) and after.
    pairs = [
        (
            multilabel_metrics.log_loss(targets, probabilities),
            classification_metrics.expected_calibration_error(
                probabilities.ravel(), targets.ravel()
            ),
        )
        for probabilities in (
            special.expit(logits / each) for each in (1.0, temperature)
        )
    ]
    losses, gaps = zip(*pairs, strict=True)
    return temperature_scaling.Calibration(
        temperature=temperature,
        examples=len(logits),
        log_loss=losses,
        expected_calibration_error=gaps,
    )
