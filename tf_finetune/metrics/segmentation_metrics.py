"""Metrics of masks, over pixels, ready for JSON."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_finetune import errors
from tf_finetune.metrics import (
    boundary_score,
    confusion_counts,
)

_DRAWS = 2000
# Draws of the bootstrap that are computed together.
_BLOCK = 100


class PixelCounter:
    """Accumulates the confusion matrix of one picture after another.

    Pixels whose true value is not a class (255, ignored) are left out, with any
    prediction.

    Attributes:
        confusion: int64 [classes, classes], rows are true classes.

    Example:
        >>> counter = PixelCounter(2)
        >>> counter.add(np.array([[0, 1, 255]]), np.array([[0, 0, 1]]))
        0.25
        >>> counter.confusion.tolist()
        [[1, 0], [1, 0]]
    """

    def __init__(self, num_classes: int) -> None:
        """Starts without pictures; masks have indices below `num_classes`."""
        self.confusion = np.zeros([num_classes, num_classes], "int64")
        self._pictures: list[ClassCounts] = []
        self._boundaries: list[np.ndarray] = []

    def add(self, true: np.ndarray, predicted: np.ndarray) -> float:
        """Counts the pixels of a picture.

        Args:
            true: [height, width] class indices; values from the number of
                classes on (255) are ignored; none is negative.
            predicted: [height, width] class indices; any at ignored pixels.

        Returns:
            Mean IoU of this picture alone, 0..1; NaN: all pixels ignored.

        Raises:
            ValueError: The two differ in size, or a prediction is not a
                class.
        """
        if true.shape != predicted.shape:
            raise ValueError(
                f"Masks must be equally large, got {true.shape} and "
                f"{predicted.shape}."
            )
        classes = len(self.confusion)
        counted = true < classes  # Without ignored pixels (255).
        kept = predicted[counted]
        low, high = kept.min(initial=0), kept.max(initial=0)
        # A negative one would be counted as a class of the row before.
        if low < 0 or high >= classes:
            got = low if low < 0 else high
            raise ValueError(
                f"Predictions must be from 0 to {classes - 1}, got {got}."
            )
        confusion = confusion_counts.count_pixels(
            true[counted].astype("int64"), kept.astype("int64"), classes
        )
        self.confusion += confusion
        self._pictures.append(count_classes(confusion))
        self._boundaries.append(
            boundary_score.compute_f1(true, predicted, num_classes=classes)
        )
        return float(mean_iou(self._pictures[-1]))

    @property
    def pictures(self) -> "ClassCounts":
        """Pixel counts of each picture; its arrays are [pictures, classes]."""
        return ClassCounts(
            hits=np.stack([each.hits for each in self._pictures]),
            true=np.stack([each.true for each in self._pictures]),
            predicted=np.stack([each.predicted for each in self._pictures]),
        )

    @property
    def boundary_f1(self) -> np.ndarray:
        """Mean boundary F1 over pictures, [classes]; NaN where undefined."""
        return boundary_score.average_pictures(np.stack(self._boundaries))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassCounts:
    """Pixel counts of each class: diagonal and sums of a confusion matrix.

    Attributes:
        hits: [..., classes] correctly predicted pixels (true positives).
        true: [..., classes] pixels that are of the class.
        predicted: [..., classes] pixels that are predicted to be of it.
    """

    hits: np.ndarray
    true: np.ndarray
    predicted: np.ndarray

    def resample(self, weights: np.ndarray) -> "ClassCounts":
        """Sums the counts of resampled pictures; returns [draws, classes].

        Args:
            weights: [draws, pictures], how often each is in a draw.
        """
        # As floats: products of integers do not go through BLAS.
        weights = weights.astype("float64")
        return ClassCounts(
            hits=weights @ self.hits,
            true=weights @ self.true,
            predicted=weights @ self.predicted,
        )


def count_classes(confusion: np.ndarray) -> ClassCounts:
    """Extracts the counts of each class from a dense confusion matrix."""
    return ClassCounts(
        hits=np.diag(confusion).copy(),
        true=confusion.sum(axis=1),
        predicted=confusion.sum(axis=0),
    )


def iou(counts: ClassCounts) -> np.ndarray:
    """Computes intersection over union of each class.

    Args:
        counts: Pixel counts [..., classes].

    Returns:
        [..., classes] in 0..1; NaN for a class that has no true pixel.

    Source: Everingham et al. 2010, "The PASCAL VOC Challenge", section 4.2.
    """
    # TP / (TP + FP + FN)
    union = counts.true + counts.predicted - counts.hits
    return _divide_where(counts.hits, union, counts.true > 0)


def dice(counts: ClassCounts) -> np.ndarray:
    """Computes Dice (F1) of each class, [..., classes]; NaN: no true pixel."""
    # 2 TP / (2 TP + FP + FN)
    total = counts.true + counts.predicted
    return _divide_where(2 * counts.hits, total, counts.true > 0)


def mean_iou(counts: ClassCounts) -> np.ndarray:
    """Averages IoU over classes with true pixels, [...]; NaN without any."""
    return _average_defined(iou(counts))


def frequency_weighted_iou(counts: ClassCounts) -> float:
    """Averages IoU, each class weighted by its share of the true pixels.

    Source: Long et al. 2015, section 5.
    """
    # Σ t_i · IoU_i / Σ t_k, t_i the true pixels of class i.
    weights = counts.true / counts.true.sum()
    return float(np.nansum(weights * iou(counts)))


def compute_metrics(
    counter: PixelCounter, *, class_names: Sequence[str], seed: int
) -> dict[str, Any]:
    """Computes all metrics of the pictures that were counted.

    Args:
        counter: At least one picture with a pixel that is not ignored.
        class_names: Names in the order of the class indices.
        seed: Seed of the bootstrap.

    Returns:
        Plain numbers, lists and dictionaries; undefined metrics are None.
        Keys: `pictures`, `pixels` (not ignored), `class_names`, `mean_iou`,
        `mean_iou_interval`, `pixel_accuracy`, `mean_accuracy` (of the classes'
        own accuracies), `mean_dice`, `frequency_weighted_iou`, `boundary_f1`,
        `per_class` (by name: `iou`, `dice`, `accuracy`, `boundary_f1`,
        `pixels`) and `confusion_matrix` (pixels; rows are true classes; see
        `confusion_counts.to_json`).

    Raises:
        DataError: There is no pixel to evaluate on.
    """
    counts = count_classes(counter.confusion)
    if not counts.true.sum():
        raise errors.DataError(
            "There is no pixel to evaluate on: there are no pictures, or all "
            "of their pixels are ignored."
        )
    # As for IoU: a class that no picture shows has no figures.
    edges = np.where(counts.true > 0, counter.boundary_f1, np.nan)
    columns = {
        "iou": iou(counts),
        "dice": dice(counts),
        "accuracy": _divide_where(counts.hits, counts.true, counts.true > 0),
        "boundary_f1": edges,
    }
    return {
        "pictures": len(counter.pictures.hits),
        "pixels": int(counts.true.sum()),
        "class_names": list(class_names),
        **summarize_confusion(counter.confusion),
        "mean_iou_interval": bootstrap_mean_iou(counter.pictures, seed=seed),
        "boundary_f1": _number(_average_defined(edges)),
        "per_class": {
            name: {
                **{key: _number(each[i]) for key, each in columns.items()},
                "pixels": int(counts.true[i]),
            }
            for i, name in enumerate(class_names)
        },
        "confusion_matrix": confusion_counts.to_json(
            confusion_counts.from_json(counter.confusion)
        ),
    }


def summarize_confusion(confusion: np.ndarray) -> dict[str, float | None]:
    """Computes the metrics that need nothing but a confusion matrix.

    Args:
        confusion: Dense [classes, classes], rows are true; not all zero.

    Returns:
        `mean_iou`, `pixel_accuracy`, `mean_accuracy`, `mean_dice` and
        `frequency_weighted_iou`, in 0..1.
    """
    counts = count_classes(confusion)
    # A class' accuracy is its recall, TP / (TP + FN).
    accuracies = _divide_where(counts.hits, counts.true, counts.true > 0)
    return {
        "mean_iou": _number(mean_iou(counts)),
        "pixel_accuracy": float(counts.hits.sum() / counts.true.sum()),
        "mean_accuracy": _number(_average_defined(accuracies)),
        "mean_dice": _number(_average_defined(dice(counts))),
        "frequency_weighted_iou": frequency_weighted_iou(counts),
    }


def bootstrap_mean_iou(pictures: ClassCounts, *, seed: int) -> list[float]:
    """Computes the 95 % confidence interval [low, high] of mean IoU.

    It is the percentile bootstrap over pictures, 2000 draws: pixels of one
    picture are not independent. A draw in which a class does not occur averages
    over the others.

    Args:
        pictures: Counts [pictures, classes].
        seed: Seed of the draws.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap",
    section 13.3.
    """
    generator = np.random.default_rng(seed)
    count = len(pictures.hits)
    found: list[float] = []
    for _ in range(_DRAWS // _BLOCK):
        times = generator.multinomial(
            count, np.full(count, 1 / count), size=_BLOCK
        )
        found += list(mean_iou(pictures.resample(times)))
    # A draw of pictures that are ignored throughout has none.
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return [float(low), float(high)]


def _divide_where(
    numerator: np.ndarray, denominator: np.ndarray, defined: np.ndarray
) -> np.ndarray:
    """Divides where it is defined; NaN elsewhere."""
    return np.divide(
        numerator,
        denominator,
        out=np.full(np.shape(numerator), np.nan),
        where=defined,
    )


def _average_defined(values: np.ndarray) -> np.ndarray:
    """Averages the defined values of the last axis; NaN if there are none."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=-1)
    total = np.where(defined, values, 0.0).sum(axis=-1)
    return _divide_where(total, count, count > 0)


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
