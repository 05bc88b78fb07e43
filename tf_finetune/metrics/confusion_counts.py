"""Sparse confusion matrices, whose memory is linear in the examples."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Up to this number of classes evaluation.json holds the whole matrix; of 1500
# it would take 25 MB a split, nearly all of it zeros.
MAX_DENSE_CLASSES = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Confusion:
    """A confusion matrix as its nonzero cells, row by row.

    Attributes:
        classes: Number of classes.
        true: [cells] index of the true class.
        predicted: [cells] index of the predicted class.
        counts: [cells] above 0.
    """

    classes: int
    true: np.ndarray
    predicted: np.ndarray
    counts: np.ndarray

    @property
    def hits(self) -> np.ndarray:
        """Correctly predicted examples of each class, [classes]."""
        right = self.true == self.predicted
        return self._sum_by_class(self.true[right], self.counts[right])

    @property
    def support(self) -> np.ndarray:
        """Examples of each true class, [classes]."""
        return self._sum_by_class(self.true, self.counts)

    @property
    def answers(self) -> np.ndarray:
        """Examples of each predicted class, [classes]."""
        return self._sum_by_class(self.predicted, self.counts)

    def sum_blocks(self, most: int) -> np.ndarray:
        """Returns the matrix with neighboring classes added up.

        Args:
            most: Rows and columns that the result has at most.

        Returns:
            [blocks, blocks] counts; one class a block if there are at most
            `most` classes.
        """
        # Rounded up: the last block may hold fewer classes.
        width = -(-self.classes // most)
        count = -(-self.classes // width)
        found = np.zeros([count, count], "int64")
        places = (self.true // width, self.predicted // width)
        # Unlike `found[places] += counts`, add.at adds cells of equal places.
        np.add.at(found, places, self.counts)
        return found

    def to_json(self) -> list[list[int]] | dict[str, Any]:
        """Returns the matrix as evaluation.json stores it.

        Up to `MAX_DENSE_CLASSES` classes rows of counts; for more classes a
        dictionary with `classes` and three lists, `true`, `predicted` and
        `count_pairs`, of the nonzero cells.
        """
        if self.classes <= MAX_DENSE_CLASSES:
            return self.sum_blocks(self.classes).tolist()
        return {
            "classes": self.classes,
            "true": self.true.tolist(),
            "predicted": self.predicted.tolist(),
            "count": self.counts.tolist(),
        }

    def _sum_by_class(
        self, places: np.ndarray, counts: np.ndarray
    ) -> np.ndarray:
        found = np.zeros(self.classes, "int64")
        np.add.at(found, places, counts)
        return found


def count_pairs(
    labels: np.ndarray, predicted: np.ndarray, num_classes: int
) -> Confusion:
    """Counts pairs of true and predicted classes.

    Args:
        labels: [n] indices of the true classes.
        predicted: [n] indices of the predicted classes.
        num_classes: Of the classification.
    """
    # One number a cell: true · classes + predicted.
    pairs = np.asarray(labels, "int64") * num_classes + np.asarray(predicted)
    found, counts = np.unique(pairs, return_counts=True)
    return Confusion(
        classes=num_classes,
        true=found // num_classes,
        predicted=found % num_classes,
        counts=counts,
    )


def from_json(
    value: Sequence[Sequence[int]] | Mapping[str, Any],
) -> Confusion:
    """Returns the matrix that `to_json` wrote.

    Args:
        value: Rows of counts, or the cells that are not 0.
    """
    if isinstance(value, Mapping):
        columns = (value[key] for key in ("true", "predicted", "count"))
        true, predicted, counts = (np.array(each, "int64") for each in columns)
        return Confusion(
            classes=value["classes"],
            true=true,
            predicted=predicted,
            counts=counts,
        )
    matrix = np.asarray(value, "int64").reshape(len(value), len(value))
    true, predicted = np.nonzero(matrix)
    return Confusion(
        classes=len(matrix),
        true=true,
        predicted=predicted,
        counts=matrix[true, predicted],
    )
