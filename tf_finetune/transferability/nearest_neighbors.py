"""Accuracy of the nearest neighbors among the features of other examples."""

from collections.abc import Sequence

import numpy as np

_NEIGHBORS = 5
# Temperature of the votes: a neighbor counts exp(cosine / temperature). The
# weighting of Wu et al. 2018, "Unsupervised Feature Learning via Non-Parametric
# Instance Discrimination", section 3.4, which uses 0.07 and more neighbors.
_TEMPERATURE = 0.1
# Rows of similarities that are in memory at a time.
_BLOCK = 1024


def compute_accuracy(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    groups: Sequence[str] | None = None,
) -> float:
    """Computes the leave-one-out accuracy of five nearest neighbors.

    Neighbors are those with the largest cosine of the standardized features;
    each votes for its class with exp(cosine / 0.1), and the class with the most
    votes wins, of equal ones the first.

    Args:
        features: [n, width] raw features; they are standardized here.
        labels: [n] class indices.
        groups: A key for each example; examples with the same key are not
            counted as each other's neighbors. None: every other example may be
            a neighbor.

    Returns:
        Share of examples whose class is predicted right, 0..1; an example
        without neighbors counts as wrong.
    """
    keys = np.arange(len(labels)) if groups is None else np.asarray(groups)
    _, keys = np.unique(keys, return_inverse=True)
    rows = _normalize(features)
    right = 0
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        cosines = rows[block] @ rows.T
        # exp(-inf) = 0: no vote of the example itself, nor of its group.
        cosines[keys[block, np.newaxis] == keys] = -np.inf
        predicted = _vote(cosines, labels)
        right += int((predicted == labels[block]).sum())
    return right / len(labels)


def _normalize(features: np.ndarray) -> np.ndarray:
    """Returns standardized features of length 1, [n, width] float32."""
    rows = features.astype("float64")
    rows -= rows.mean(axis=0)
    deviation = rows.std(axis=0)
    # Constant features have a deviation of 0, or rounding errors of it.
    varies = deviation > 1e-6 * max(float(deviation.max()), 1e-300)
    rows = rows[:, varies] / deviation[varies]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    # At length 1 a product of rows is their cosine.
    return (rows / np.maximum(lengths, 1e-12)).astype("float32")


def _vote(cosines: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the class with the most votes of each row; -1 without any."""
    count = min(_NEIGHBORS, cosines.shape[1])
    # A partition finds the nearest in linear time; their order is not used.
    nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    weights = np.exp(
        np.take_along_axis(cosines, nearest, axis=1) / _TEMPERATURE
    )
    votes = np.zeros([len(cosines), int(labels.max()) + 1])
    places = np.broadcast_to(
        np.arange(len(cosines))[:, np.newaxis], nearest.shape
    )
    np.add.at(votes, (places, labels[nearest]), weights)
    # All weights are 0 where every other example is of the same group.
    return np.where(votes.any(axis=1), votes.argmax(axis=1), -1)
