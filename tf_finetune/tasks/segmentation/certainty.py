"""How sure a segmentation is of its pixels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.evaluation import calibration
from tf_finetune.tasks import energy

# Logits that are kept, of all pixels and classes together: 64 MB in float64.
# More pixels would not tell more, those of one picture being much alike.
_KEPT = 8_000_000


class Certainty:
    """One temperature for all pixels; their free energy, averaged."""

    def tempering(
        self, names: Sequence[str], num_pictures: int, *, seed: int
    ) -> "Tempering":
        """Returns what looks at pixels of all pictures."""
        return Tempering(len(names), num_pictures, seed=seed)

    def strangeness(self, logits: tf.Tensor) -> tf.Tensor:
        """Returns the mean free energy of a picture's pixels, [batch].

        Args:
            logits: [batch, height, width, classes], at the model's size.
        """
        return tf.reduce_mean(energy.free(logits), axis=[1, 2])


CERTAINTY = Certainty()


class Tempering:
    """Finds the temperature with the lowest log loss of labelled pixels.

    At the model's size, where the probabilities are. Of each picture as many
    pixels are drawn as fit into memory, all of them if they do; ignored ones
    do not count.
    """

    def __init__(
        self,
        num_classes: int,
        num_pictures: int,
        *,
        seed: int,
        most_numbers: int = _KEPT,
    ) -> None:
        """Begins with the first picture.

        Args:
            num_classes: Of the task.
            num_pictures: That will be added.
            seed: Of the draw.
            most_numbers: Logits that are kept.
        """
        self._share = max(most_numbers // (num_classes * num_pictures), 1)
        self._num_classes = num_classes
        self._generator = np.random.default_rng(seed)
        self._logits: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        self._is_drawn = False

    def add(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Takes [batch, height, width, classes] logits and [batch, height,
        width] class indices; others are ignored."""
        for pixels, labels in zip(logits, targets, strict=True):
            rows = pixels.reshape(-1, self._num_classes)
            places = self._places(len(rows))
            labels = labels.ravel()[places]
            counted = labels < self._num_classes
            self._logits.append(rows[places][counted])
            self._labels.append(labels[counted])

    def _places(self, pixels: int) -> np.ndarray:
        if pixels <= self._share:
            return np.arange(pixels)
        self._is_drawn = True
        return self._generator.choice(pixels, self._share, replace=False)

    def found(self) -> calibration.Calibration:
        """Returns the temperature of all pixels that were kept.

        Raises:
            DataError: All pixels are ignored.
        """
        labels = np.concatenate(self._labels)
        if not len(labels):
            raise errors.DataError(
                "--calibrate needs labelled pixels; those of the validation "
                "pictures are all ignored at the model's size."
            )
        how = "drawn " if self._is_drawn else ""
        return calibration.calibrate(
            np.concatenate(self._logits),
            labels,
            counted=f"{how}pixels of {len(self._labels)} validation pictures",
        )

    def moved(
        self, decision: Mapping[str, Any], temperature: float
    ) -> Mapping[str, Any]:
        """Returns the decision as it is: a pixel's likeliest class stays."""
        del temperature
        return decision
