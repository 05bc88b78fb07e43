"""Sparse confusion matrices, whose memory is linear in the examples.

scikit-learn's are dense: 800 MB for 10,000 classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

# Up to this number of classes evaluation.json holds the whole matrix; of 1500
# it would take 25 MB a split, nearly all of it zeros.
MAX_DENSE_CLASSES = 100


def count_pairs(
    labels: np.ndarray, predicted: np.ndarray, num_classes: int
) -> sparse.csr_array:
    """Counts pairs of true and predicted classes in a sparse matrix.

    Args:
        labels: [n] indices of the true classes.
        predicted: [n] indices of the predicted classes.
        num_classes: Number of classes.

    Returns:
        Sparse [num_classes, num_classes], rows are true classes.
    """
    return _sum_cells(labels, predicted, np.ones(len(labels)), num_classes)


def count_pixels(
    labels: np.ndarray, predicted: np.ndarray, num_classes: int
) -> np.ndarray:
    """Counts pairs of true and predicted classes in a dense matrix.

    It takes millions of pixels in one pass.

    Args:
        labels: [n] indices of the true classes.
        predicted: [n] indices of the predicted classes.
        num_classes: Number of classes.

    Returns:
        int64 [num_classes, num_classes], rows are true classes.
    """
    # One number a cell: true · classes + predicted. Not scikit-learn's
    # `confusion_matrix`, which sorts the pixels of each picture several times.
    cells = np.asarray(labels) * num_classes + np.asarray(predicted)
    # Without minlength, absent last classes would leave too few cells.
    counts = np.bincount(cells, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def sum_blocks(matrix: sparse.csr_array, most: int) -> np.ndarray:
    """Adds up neighboring classes of a confusion matrix to a smaller one.

    Args:
        matrix: Sparse [classes, classes].
        most: Largest number of rows and columns of the result.

    Returns:
        Dense [blocks, blocks] counts; one class per block if there are at most
        `most` classes.
    """
    classes, cells = matrix.shape[0], matrix.tocoo()
    # Rounded up: the last block may hold fewer classes.
    width = -(-classes // most)
    places = (cells.row // width, cells.col // width)
    return _sum_cells(*places, cells.data, -(-classes // width)).toarray()


def to_json(matrix: sparse.csr_array) -> list[list[int]] | dict[str, Any]:
    """Converts a confusion matrix to the form stored in evaluation.json.

    Args:
        matrix: Sparse [classes, classes].

    Returns:
        Rows of counts for up to `MAX_DENSE_CLASSES` classes; for more, a
        dictionary with the number of `classes` and three lists, `true`,
        `predicted` and `count`, of the nonzero cells, row by row.
    """
    if matrix.shape[0] <= MAX_DENSE_CLASSES:
        return matrix.toarray().tolist()
    cells = matrix.tocoo()
    return {
        "classes": matrix.shape[0],
        "true": cells.row.tolist(),
        "predicted": cells.col.tolist(),
        "count": cells.data.tolist(),
    }


def from_json(
    value: Sequence[Sequence[int]] | Mapping[str, Any],
) -> sparse.csr_array:
    """Restores the sparse confusion matrix that `to_json` converted.

    Args:
        value: Rows of counts, or a dictionary of the nonzero cells.
    """
    if isinstance(value, Mapping):
        columns = (value[key] for key in ("true", "predicted", "count"))
        return _sum_cells(*columns, value["classes"])
    return sparse.csr_array(np.asarray(value, "int64"))


def _sum_cells(
    rows: Sequence[int], columns: Sequence[int], counts: Any, classes: int
) -> sparse.csr_array:
    """Returns a matrix in which the counts of equal cells are added up."""
    counts = np.asarray(counts, "int64")
    # The conversion to CSR adds up entries of equal coordinates.
    return sparse.coo_array(
        (counts, (np.asarray(rows), np.asarray(columns))),
        shape=(classes, classes),
    ).tocsr()
