"""Threshold of each label's probability, chosen on validation.

The threshold with the highest F1 among the validation pictures is a matter of
luck where few of them carry the label. Here the pictures only calibrate the
probabilities (two parameters per label, with priors at 1 and 0), and the
threshold is the one with the highest expected F1 of these. On held-out posters
(MobileNet 0.25, seven genres, 60 to 200 validation pictures) macro F1 was 0.45
to 0.46 so, 0.42 to 0.43 with the highest F1 observed, and 0.24 with 0.5 for
all.

Source: Platt 1999, "Probabilistic Outputs for Support Vector Machines"; Lipton
et al. 2014, "Optimal Thresholding of Classifiers to Maximize F1 Measure",
section 4 (the optimum of known probabilities).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import optimize, special

from tf_finetune import errors

DEFAULT = 0.5
"""Where all or none of the validation pictures carry the label."""

# Precision of the normal priors of slope and shift around 1 and 0.
_PRIOR_PRECISION = 1.0
# Step of float32 at 1; probabilities are clipped there.
_SMALLEST = float(np.finfo("float32").eps)
# From here on a probability is 1 in float32.
_LARGEST = 1 - 2.0**-25
# Probabilities of different runtimes may differ by this much.
_ROUNDING = 1e-6


def make_decision(
    targets: np.ndarray, probabilities: np.ndarray, names: Sequence[str]
) -> dict[str, Any]:
    """Chooses each label's threshold by expected F1, ready for JSON.

    The validation pictures calibrate the probabilities; the threshold has the
    highest F1 that these lead one to expect, not the highest F1 observed.

    Args:
        targets: [n, labels] of 0 and 1, of the validation split.
        probabilities: [n, labels] in 0..1.
        names: Names of the labels, in the order of the columns.

    Returns:
        `{"thresholds": {label: threshold in 0..1}}`; the threshold is 0.5 where
        all or no pictures carry the label.
    """
    found = choose_thresholds(targets, probabilities)
    return {"thresholds": dict(zip(names, found.tolist(), strict=True))}


def read_thresholds(
    decided: Mapping[str, Any], names: Sequence[str]
) -> np.ndarray:
    """Returns the threshold of each label as an array [labels].

    Args:
        decided: With `thresholds` by label; 0.5 for labels it lacks.
        names: Names of the labels, in the order of the result.
    """
    known = decided.get("thresholds", {})
    return np.array([known.get(name, DEFAULT) for name in names])


def choose_thresholds(
    targets: np.ndarray, probabilities: np.ndarray
) -> np.ndarray:
    """Chooses the threshold of each label by expected F1.

    Args:
        targets: [n, labels] of 0 and 1.
        probabilities: [n, labels] in 0..1.

    Returns:
        float32 [labels] in 0..1; 0.5 where all or no pictures carry a label.
    """
    pairs = zip(np.transpose(targets) > 0.5, probabilities.T, strict=True)
    return np.array([_choose_threshold(*each) for each in pairs], "float32")


def convert_thresholds(
    bounds: np.ndarray, logits: np.ndarray, temperature: float
) -> np.ndarray:
    """Converts thresholds for probabilities calibrated by a temperature.

    A threshold t becomes sigmoid(logit(t) / temperature). One that equals the
    probability of a picture must not fall on its other side by rounding: it is
    kept apart from the probabilities of these pictures.

    Args:
        bounds: [labels] thresholds in 0..1.
        logits: [n, labels] of pictures whose predicted labels must not change.
        temperature: Divisor of the logits, above 0.

    Returns:
        float32 [labels], a new array.

    Raises:
        RunError: Probabilities on both sides of a threshold become equal in
            float32.
    """
    bounds = np.asarray(bounds, "float32")
    logits = np.asarray(logits, "float32")
    # For each label the lowest probability that is given and the highest one
    # that is not: the new threshold must lie between them.
    given = special.expit(logits) >= bounds
    after = special.expit((logits / temperature).astype("float32"))
    least = np.where(given, after, np.inf).min(axis=0)
    most = np.where(given, -np.inf, after).max(axis=0)
    clipped = np.minimum(bounds.astype("float64"), _LARGEST)
    # logit(0) is -inf, whose sigmoid is 0 again.
    with np.errstate(divide="ignore"):
        exact = special.expit(special.logit(clipped) / temperature)
    middle = (least + most) / 2
    low = np.minimum(most + _ROUNDING, middle)
    # Above 0, which every probability would reach.
    high = np.maximum.reduce([least - _ROUNDING, middle, least / 2])
    found = np.clip(exact, low, high).astype("float32")
    if ((after >= found) != given).any():
        raise errors.RunError(
            f"--calibrate found the temperature {temperature:.3g}, at which "
            "probabilities on both sides of a threshold are equal in float32, "
            "so that the labels given would change. Export without --calibrate."
        )
    return found


def _choose_threshold(targets: np.ndarray, probabilities: np.ndarray) -> float:
    if targets.all() or not targets.any():
        return DEFAULT
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order].astype("float64")
    expected = np.cumsum(_calibrate_label(targets, probabilities)[order])
    given = np.arange(1, len(ranked) + 1)
    # Expected F1 of giving the k most probable: 2 Σ p_i (i ≤ k) / (Σ p + k).
    f1 = 2 * expected / (expected[-1] + given)
    # Equal probabilities are given together; below the last one all are.
    following = np.append(ranked[1:], ranked[-1])
    f1[:-1][following[:-1] == ranked[:-1]] = -1.0
    best = int(np.argmax(f1))
    # Halfway to the next lower probability, so that rounding changes nothing.
    return float((ranked[best] + following[best]) / 2)


def _calibrate_label(
    targets: np.ndarray, probabilities: np.ndarray
) -> np.ndarray:
    """Calibrates the probabilities [n] of one label by Platt scaling, [n].

    A logistic regression of the targets on the logits, whose slope and shift
    have normal priors around 1 and 0. Where its slope is not positive, the
    probabilities are returned as they are.
    """
    clipped = np.clip(probabilities.astype("float64"), _SMALLEST, 1 - _SMALLEST)
    logits = special.logit(clipped)
    signs = np.where(targets, 1.0, -1.0)

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        # Σ log(1 + exp(-margin)) + prior / 2 · |(slope, shift) - (1, 0)|²,
        # and its gradient.
        margins = signs * (found[0] * logits + found[1])
        pull = -signs * special.expit(-margins)
        away = found - [1.0, 0.0]
        return (
            np.logaddexp(0.0, -margins).sum()
            + _PRIOR_PRECISION / 2 * (away @ away),
            np.array([pull @ logits, pull.sum()]) + _PRIOR_PRECISION * away,
        )

    slope, shift = optimize.minimize(loss, [1.0, 0.0], jac=True).x
    if slope <= 0:
        return clipped
    return special.expit(slope * logits + shift)
