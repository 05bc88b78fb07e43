"""Boundary F1 score of masks.

Source: Csurka, Larlus and Perronnin 2013, "What is a good evaluation measure
for semantic segmentation?", section 2.3.
"""

import numpy as np
from scipy import spatial

# Share of the picture's diagonal; a predicted boundary that lies no farther
# from a true one counts as correct. 0.75 % as in the paper.
TOLERANCE = 0.0075


def compute_f1(
    true: np.ndarray, predicted: np.ndarray, *, num_classes: int
) -> np.ndarray:
    """Computes F1 of each class' boundary in one picture.

    Precision is the share of the predicted boundary that lies near the true one
    (within 0.0075 of the picture's diagonal), recall the share of the true
    boundary that lies near the predicted one. Ignored pixels have no boundary,
    neither among themselves nor with others.

    Args:
        true: [height, width] class indices; values from `num_classes` on are
            ignored.
        predicted: [height, width] class indices.
        num_classes: Number of classes.

    Returns:
        [num_classes] in 0..1; NaN where neither mask has a boundary.
    """
    ignored = true >= num_classes
    height, width = true.shape
    near = TOLERANCE * float(np.hypot(height, width))
    # Ignored pixels become a class of their own, so that both masks have none
    # of the others there.
    lines = [
        _find_boundary(
            np.where(ignored, num_classes, each.astype("int64")), ignored
        )
        for each in (true, predicted)
    ]
    found = np.full(num_classes, np.nan)
    for index in range(num_classes):
        ours, theirs = (points[values == index] for points, values in lines)
        # A class' boundary is matched with that of the same class only.
        if len(ours) or len(theirs):
            found[index] = _match_boundaries(ours, theirs, near)
    return found


def average_pictures(pictures: np.ndarray) -> np.ndarray:
    """Averages scores over the pictures where they are defined.

    Args:
        pictures: [pictures, classes], NaN where a score is undefined.

    Returns:
        [classes]; NaN where no picture has a score.
    """
    defined = ~np.isnan(pictures)
    total = np.where(defined, pictures, 0.0).sum(axis=0)
    count = defined.sum(axis=0)
    # At least 1 avoids the warning of 0 / 0; the result is NaN there anyway.
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _find_boundary(
    mask: np.ndarray, ignored: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the boundary pixels, those that touch another class.

    Returns:
        Their places [n, 2] and classes [n].
    """
    edge = np.zeros(mask.shape, bool)
    # Each pixel and the one below it, then each and the one to its right.
    for ours, theirs in (
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:, :-1], np.s_[:, 1:]),
    ):
        differs = (
            (mask[ours] != mask[theirs]) & ~ignored[ours] & ~ignored[theirs]
        )
        # Both pixels of a pair are boundary, each of its own class.
        edge[ours] |= differs
        edge[theirs] |= differs
    points = np.argwhere(edge)
    return points, mask[edge]


def _match_boundaries(
    true: np.ndarray, predicted: np.ndarray, near: float
) -> float:
    # One mask has a boundary and the other has none: nothing matches.
    if not len(true) or not len(predicted):
        return 0.0
    precision = _compute_share_near(predicted, true, near)
    recall = _compute_share_near(true, predicted, near)
    # F1 = 2 P R / (P + R).
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def _compute_share_near(
    points: np.ndarray, others: np.ndarray, near: float
) -> float:
    # The tree's bound is exclusive, ours is inclusive.
    bound = np.nextafter(near, np.inf)
    distances, _ = spatial.cKDTree(others).query(
        points, distance_upper_bound=bound
    )
    # The query reports inf where no neighbor lies within the bound.
    return float(np.mean(np.isfinite(distances)))
