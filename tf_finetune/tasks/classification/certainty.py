"""Temperature scaling and out-of-distribution score of a classifier."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_finetune.metrics import temperature_scaling
from tf_finetune.tasks import certainty_contract, energy_scores


class Certainty:
    """One temperature for all logits; the free energy of the softmax."""

    def create_temperature_scaling(
        self, names: Sequence[str], num_pictures: int, *, seed: int
    ) -> certainty_contract.CollectedLogits:
        """Returns an accumulator of all pictures' logits."""
        del names, num_pictures, seed
        return certainty_contract.CollectedLogits(fit_temperature)

    def ood_score(self, logits: tf.Tensor) -> tf.Tensor:
        """Returns the free energy of [batch, classes] logits, [batch]."""
        return energy_scores.free_energy(logits)


CERTAINTY = Certainty()


def fit_temperature(
    logits: np.ndarray, targets: np.ndarray
) -> temperature_scaling.Calibration:
    """Fits the temperature of a softmax to one-hot targets."""
    return temperature_scaling.fit_temperature(
        logits, np.argmax(targets, axis=1)
    )
