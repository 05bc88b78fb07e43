"""Temperature scaling and out-of-distribution score of a segmentation."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.metrics import temperature_scaling
from tf_finetune.tasks import certainty

# Logits that are kept, of all pixels and classes together: 64 MB in float64.
# More pixels would add little, those of one picture being much alike.
_MAX_LOGITS = 8_000_000


class Certainty:
    """Temperature scaling and mean free energy of the pixels' softmax."""

    def create_temperature_scaling(
        self, names: Sequence[str], num_pictures: int, *, seed: int
    ) -> "TemperatureScaling":
        """Creates an accumulator that keeps logits of pixels.

        Args:
            names: Names of the classes.
            num_pictures: Number of pictures that will be added.
            seed: Seed of the draw of pixels, where not all fit into memory.
        """
        return TemperatureScaling(len(names), num_pictures, seed=seed)

    def ood_score(self, logits: tf.Tensor) -> tf.Tensor:
        """Computes the mean free energy of each picture's pixels, [batch].

        Args:
            logits: [batch, height, width, classes], at the model's size.
        """
        return tf.reduce_mean(certainty.free_energy(logits), axis=[1, 2])


CERTAINTY = Certainty()


class TemperatureScaling(certainty.TemperatureScaling):
    """Fits the temperature with the lowest log loss of labeled pixels.

    The loss is computed at the resolution of the model's output. As many pixels
    of each picture are drawn as fit into memory, all of them if they do;
    ignored ones are left out.

    Args:
        num_classes: Number of classes.
        num_pictures: Number of pictures that will be added.
        seed: Seed of the draw of pixels.
        most_numbers: Upper bound of the logits kept in memory.
    """

    def __init__(
        self,
        num_classes: int,
        num_pictures: int,
        *,
        seed: int,
        most_numbers: int = _MAX_LOGITS,
    ) -> None:
        """Starts without pictures."""
        # Pixels per picture, at least one.
        self._share = max(most_numbers // (num_classes * num_pictures), 1)
        self._num_classes = num_classes
        self._generator = np.random.default_rng(seed)
        self._logits: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        self._is_drawn = False

    def add(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Adds the logits and masks of a batch of pictures.

        Args:
            logits: [batch, height, width, classes].
            targets: [batch, height, width] class indices; pixels with any other
                value, such as 255, are ignored.
        """
        for pixels, labels in zip(logits, targets, strict=True):
            rows = pixels.reshape(-1, self._num_classes)
            places = self._draw_pixels(len(rows))
            labels = labels.ravel()[places]
            counted = labels < self._num_classes
            self._logits.append(rows[places][counted])
            self._labels.append(labels[counted])

    def _draw_pixels(self, pixels: int) -> np.ndarray:
        if pixels <= self._share:
            return np.arange(pixels)
        self._is_drawn = True
        return self._generator.choice(pixels, self._share, replace=False)

    def fit_temperature(self) -> temperature_scaling.Calibration:
        """Fits the temperature on all pixels that were kept.

        Raises:
            DataError: All pixels are ignored.
        """
        labels = np.concatenate(self._labels)
        if not len(labels):
            raise errors.DataError(
                "--calibrate needs labeled pixels; those of the validation "
                "pictures are all ignored at the model's size."
            )
        how = "drawn " if self._is_drawn else ""
        return temperature_scaling.fit_temperature(
            np.concatenate(self._logits),
            labels,
            counted=f"{how}pixels of {len(self._labels)} validation pictures",
        )
