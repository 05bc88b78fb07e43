"""Exports of a classifier: metadata, and checks of quantized ones."""

from collections.abc import Sequence

import numpy as np

from tf_finetune.data import examples
from tf_finetune.tasks import quantization_checks

# Between the effect of int8 on a network that loses much by it and that of a
# mistake. Measured on MobileNet 0.25, ants and bees, 153 pictures: int8 moves
# probabilities by 0.058 in the mean and keeps 95 % of the decisions, swapped
# color channels move them by 0.16 and keep 86 %.
MEAN_TOLERANCE = 0.1
AGREEMENT = 0.9
# Of accuracy, or one picture where there are few of them.
ACCURACY_LOSS = 0.05


class Exports:
    """Metadata of a classifier's exports, and checks of quantized ones."""

    losses = ("accuracy",)
    output = "probabilities"
    meaning = (
        "The probability of each class, in the order of the labels; they add "
        "up to 1."
    )

    def load_truth(
        self,
        data: examples.ImageData,
        pictures: Sequence[examples.Picture],
        shape: Sequence[int],
    ) -> np.ndarray:
        """Returns the class index of each picture, int32 [n].

        `shape` is not used.
        """
        return np.array(data.class_indices(pictures), "int32")

    def check_quantized(
        self, compared: quantization_checks.Comparison
    ) -> quantization_checks.CheckResult:
        """Compares probabilities, likeliest classes and accuracy.

        Args:
            compared: [n, classes] probabilities, and [n] true class indices,
                without which accuracy is not checked.

        Returns:
            Checks of the mean difference, of `decided_agreement` and of the
            drop in accuracy. Its `figures` are `top_1_agreement` (share of
            pictures with the same likeliest class), `decided` (number of
            pictures whose likeliest class leads by more than 0.2),
            `decided_agreement` (that share among them) and, with `truth`,
            `accuracy` (export) and `evaluation_accuracy`.
        """
        expected, got, truth = compared.expected, compared.got, compared.truth
        figures = quantization_checks.measure_agreement(expected, got)
        now = before = None
        # Against the truth, so that a change for the better is no loss.
        if truth is not None:
            now, before = (
                _compute_accuracy(got, truth),
                _compute_accuracy(expected, truth),
            )
            figures |= {"accuracy": now, "evaluation_accuracy": before}
        checks = [
            quantization_checks.check_mean_difference(
                expected, got, MEAN_TOLERANCE
            ),
            quantization_checks.check_agreement(figures, AGREEMENT, "pictures"),
            # At least one picture: 1/n is the smallest step of accuracy.
            quantization_checks.check_drop(
                "accuracy", before, now, max(ACCURACY_LOSS, 1 / len(expected))
            ),
        ]
        return quantization_checks.CheckResult(
            figures=figures, checks=tuple(checks)
        )


EXPORTS = Exports()


def _compute_accuracy(probabilities: np.ndarray, classes: np.ndarray) -> float:
    return float((np.argmax(probabilities, axis=1) == classes).mean())
