"""Temperature scaling: calibrates probabilities on validation data.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section
4.2: all logits are divided by one number, found on validation data. The
likeliest class stays, its confidence changes. A result that is interpolated
from several probabilities may change too: one of a picture's pixels that is
resized, in a few pixels where classes meet.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy import optimize, special

from tf_finetune.metrics import classification_metrics

# Beyond these no network was seen; at the lower one, probabilities are 0 or 1.
_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.05, 20.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """Fitted temperature, with its effect on log loss and calibration.

    Attributes:
        temperature: Divisor of the logits; above 1 the network was
            overconfident.
        examples: Number of pictures or pixels that it was fitted on.
        log_loss: Before and after scaling, nats.
        expected_calibration_error: Before and after scaling, 0..1.
        counted: Noun for the examples: "validation pictures".
    """

    temperature: float
    examples: int
    log_loss: tuple[float, float]
    expected_calibration_error: tuple[float, float]
    counted: str = "validation pictures"

    def format_line(self) -> str:
        """Formats the temperature and its effect as one line."""
        losses, gaps = self.log_loss, self.expected_calibration_error
        return (
            f"temperature {self.temperature:.3f} from {self.examples} "
            f"{self.counted}: log loss {losses[0]:.4f} → {losses[1]:.4f}, "
            f"expected calibration error {gaps[0]:.4f} → {gaps[1]:.4f}"
        )


def fit_temperature(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    counted: str = "validation pictures",
) -> Calibration:
    """Fits the temperature of a softmax with the lowest log loss.

    Args:
        logits: [n, classes], of pictures or of pixels.
        labels: [n] indices of the true classes.
        counted: Noun for the examples, in log lines.

    Returns:
        The temperature, within 0.05..20, with its effect. It is 1 where every
        picture is classified correctly: there the loss keeps falling with the
        temperature, and the data says nothing about the error rate.
    """
    # float64: the lowest temperature multiplies logits by 20.
    logits = np.asarray(logits, "float64")
    found = 1.0
    # Without an error the loss falls for ever as T goes to 0.
    if not np.all(np.argmax(logits, axis=1) == labels):
        found = _fit_softmax(logits, labels)
    before, after = (
        _compute_figures(special.softmax(logits / each, axis=1), labels)
        for each in (1.0, found)
    )
    return Calibration(
        temperature=found,
        examples=len(labels),
        log_loss=(before[0], after[0]),
        expected_calibration_error=(before[1], after[1]),
        counted=counted,
    )


def search_temperature(loss: Callable[[float], float]) -> float:
    """Searches the temperature with the lowest loss, within 0.05..20.

    Args:
        loss: Function from a temperature to the loss; unimodal, as the log
            loss of a softmax or of sigmoids is.
    """
    # Over ln T: halving and doubling are equally far, and T stays above 0.
    found = optimize.minimize_scalar(
        lambda logarithm: loss(float(np.exp(logarithm))),
        bounds=(np.log(_MIN_TEMPERATURE), np.log(_MAX_TEMPERATURE)),
        method="bounded",
    )
    return float(np.exp(found.x))


def _fit_softmax(logits: np.ndarray, labels: np.ndarray) -> float:
    rows = np.arange(len(labels))

    def loss(temperature: float) -> float:
        # -ln softmax(z / T)_y = logsumexp(z / T) - z_y / T.
        scaled = logits / temperature
        return float(
            np.mean(special.logsumexp(scaled, axis=1) - scaled[rows, labels])
        )

    return search_temperature(loss)


def _compute_figures(
    probabilities: np.ndarray, labels: np.ndarray
) -> tuple[float, float]:
    confidence = np.max(probabilities, axis=1)
    correct = np.argmax(probabilities, axis=1) == labels
    return (
        classification_metrics.log_loss(labels, probabilities),
        classification_metrics.expected_calibration_error(confidence, correct),
    )
