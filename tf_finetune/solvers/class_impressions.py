"""Feature vectors that stand in for classes of which there are no pictures.

A head is solved against the classes that its pictures show. New classes beside
kept ones of which no picture is left would have nothing to be told from: their
biases would grow without bound, and every picture of a kept class would be one
of theirs. The kept columns say where their class lies: it is imagined there,
with the scatter that the pictures at hand have within their classes.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import special

# Probability that the earlier head gives to an imagined class mean, among the
# classes that it knows. Between 0.88 and 0.99 it made little difference.
_CONFIDENCE = 0.95
# Step lengths that are tried, in units in which the class's own logit grows
# by 1.
_STEPS = np.geomspace(1e-3, 1e3, 121)
_FEWEST = 5  # Vectors of a class at least, for five folds.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Impressions:
    """Imagined feature vectors of classes without pictures.

    Attributes:
        rows: [n, width] raw features.
        labels: [n] class indices.
        origins: [n], index of the picture whose scatter a row has.
        weight: Weight of each row, so that a class weighs as much as one with
            pictures does on average.
    """

    rows: np.ndarray
    labels: np.ndarray
    origins: np.ndarray
    weight: float


def imagine_rows(
    features: np.ndarray,
    labels: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray,
    *,
    kept: Sequence[int],
    absent: Sequence[int],
    seed: int,
) -> Impressions:
    """Imagines feature vectors of kept classes that have no pictures.

    Args:
        features: [n, width] raw features of the pictures at hand.
        labels: [n] their class indices.
        kernel: [width, classes], with the columns of the kept classes.
        bias: [classes].
        kept: Classes that the earlier head knows.
        absent: Those of them without pictures, at least one.
        seed: Seed of the draw of pictures.

    Returns:
        As many vectors of each class as classes with pictures have on average,
        fewer where that would be more than there are pictures.

    Source: Nayak et al. 2019, "Zero-Shot Knowledge Distillation in Deep
    Networks", section 3.1, for inputs made from the last layer's weights;
    Petit et al. 2023, "FeTrIL: Feature Translation for Exemplar-Free
    Class-Incremental Learning", equation 1, for moving the features of other
    classes to a class mean.
    """
    means = imagine_means(features, kernel[:, kept], bias[kept])
    present, place = np.unique(labels, return_inverse=True)
    own = np.stack([features[labels == each].mean(axis=0) for each in present])
    average = len(features) / len(present)
    most = count_rows(len(features), len(absent)) // len(absent)
    count = max(2, round(min(average, most)))
    generator = np.random.default_rng(seed)
    origins = np.concatenate(
        [generator.choice(len(features), count) for _ in absent]
    )
    labels = np.repeat(np.asarray(absent), count)
    centers = means[[list(kept).index(each) for each in labels]]
    return Impressions(
        # Equation 1 of FeTrIL: f - (mean of its class) + (mean of the other).
        rows=features[origins] - own[place[origins]] + centers,
        labels=labels,
        origins=origins,
        weight=average / count,
    )


def imagine_means(
    features: np.ndarray, kernel: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """Imagines the mean feature vector of every class of a linear head.

    It is the mean of the pictures at hand, moved towards the class until the
    head is sure of it. With one covariance S of all classes, the columns of a
    linear discriminant are S⁻¹ times the class means (Hastie et al. 2009,
    section 4.3): the way to a class is S (w - mean w), here with the variances
    of the features alone.

    Args:
        features: [n, width] raw features.
        kernel: [width, classes].
        bias: [classes].

    Returns:
        [classes, width]. A class that the head is nowhere sure of lies where
        it is surest.
    """
    ways = features.var(axis=0)[:, np.newaxis] * (
        kernel - kernel.mean(axis=1, keepdims=True)
    )
    middle = features.mean(axis=0)
    start = middle @ kernel + bias
    # Column c: growth of all logits on the way to class c.
    growth = kernel.T @ ways
    own = np.diag(growth - growth.mean(axis=0))
    units = 1 / np.maximum(own, np.finfo("float32").tiny)
    sure = np.stack(
        [
            np.diag(
                special.log_softmax(
                    start[:, np.newaxis] + growth * units * step, axis=0
                )
            )
            for step in _STEPS
        ]
    )
    reached = sure >= np.log(_CONFIDENCE)
    first = np.where(
        reached.any(axis=0), reached.argmax(axis=0), sure.argmax(axis=0)
    )
    return middle + (ways * units * _STEPS[first]).T


def count_rows(pictures: int, absent: int) -> int:
    """Returns the most vectors that are imagined for a number of classes.

    Args:
        pictures: Number of pictures at hand.
        absent: Number of classes without pictures; may be 0.
    """
    # Five of each class at least, else about as many as pictures.
    return absent * max(_FEWEST, pictures // max(absent, 1))
