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
    """Compared by the likeliest class."""

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
        """Returns the class index of each picture, [n]."""
        return np.array(data.class_indices(pictures), "int32")

    def judge(
        self,
        expected: np.ndarray,
        got: np.ndarray,
        truth: np.ndarray | None,
        *,
        names: Sequence[str],
        unit: float | np.ndarray,
    ) -> quantization_checks.CheckResult:
        """Checks the mean difference, changed decisions and lost accuracy.

        Returns:
            As figures `top_1_agreement`, `decided_agreement` (of the
            `with_decision` pictures whose likeliest class is ahead by more than
            0.2) and, where true classes are known, `accuracy` and
            `evaluation_accuracy`.
        """
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
