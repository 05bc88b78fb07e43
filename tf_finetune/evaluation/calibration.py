"""Temperature scaling: probabilities that mean what they say.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section
4.2: one number that all logits are divided by, found on validation data. The
likeliest class stays, and how sure the network claims to be changes. What is
made of several probabilities may change with it: a mask that is brought to its
picture's size, in a few pixels where classes meet.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy import optimize, special

from tf_finetune.evaluation import metrics

# Beyond these no network was seen; at the lower one, probabilities are 0 or 1.
_LOWEST, _HIGHEST = 0.05, 20.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """A temperature and what it does, on the data it was found on.

    Attributes:
        temperature: What logits are divided by; above 1 the network was too
            sure of itself.
        examples: How many pictures or pixels it was found on.
        log_loss: Before and after.
        expected_calibration_error: Before and after, 0..1.
        counted: What the examples are.
    """

    temperature: float
    examples: int
    log_loss: tuple[float, float]
    expected_calibration_error: tuple[float, float]
    counted: str = "validation pictures"

    def sentence(self) -> str:
        """Returns what was found in one line."""
        losses, gaps = self.log_loss, self.expected_calibration_error
        return (
            f"temperature {self.temperature:.3f} from {self.examples} "
            f"{self.counted}: log loss {losses[0]:.4f} → {losses[1]:.4f}, "
            f"expected calibration error {gaps[0]:.4f} → {gaps[1]:.4f}"
        )


def calibrate(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    counted: str = "validation pictures",
) -> Calibration:
    """Finds the temperature of a softmax with the lowest log loss.

    Args:
        logits: [n, classes], of pictures or of pixels.
        labels: [n] indices of the true classes.
        counted: What they are, for the record.

    Returns:
        The temperature, within 0.05..20. It is 1 where every picture is
        classified right: there the loss falls without end as the temperature
        does, and nothing can be learnt of how often the network errs.
    """
    logits = np.asarray(logits, "float64")
    found = 1.0
    if not np.all(np.argmax(logits, axis=1) == labels):
        found = _of_softmax(logits, labels)
    before, after = (
        _figures(special.softmax(logits / each, axis=1), labels)
        for each in (1.0, found)
    )
    return Calibration(
        temperature=found,
        examples=len(labels),
        log_loss=(before[0], after[0]),
        expected_calibration_error=(before[1], after[1]),
        counted=counted,
    )


def best(loss: Callable[[float], float]) -> float:
    """Returns the temperature of the lowest loss, within 0.05..20.

    Args:
        loss: Of a temperature; with one lowest value, as the log loss of a
            softmax or of sigmoids has it.
    """
    found = optimize.minimize_scalar(
        lambda logarithm: loss(float(np.exp(logarithm))),
        bounds=(np.log(_LOWEST), np.log(_HIGHEST)),
        method="bounded",
    )
    return float(np.exp(found.x))


def _of_softmax(logits: np.ndarray, labels: np.ndarray) -> float:
    rows = np.arange(len(labels))

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        return float(
            np.mean(special.logsumexp(scaled, axis=1) - scaled[rows, labels])
        )

    return best(loss)


def _figures(
    probabilities: np.ndarray, labels: np.ndarray
) -> tuple[float, float]:
    confidence = np.max(probabilities, axis=1)
    correct = np.argmax(probabilities, axis=1) == labels
    return (
        metrics.log_loss(labels, probabilities),
        metrics.expected_calibration_error(confidence, correct),
    )
