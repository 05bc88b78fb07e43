"""Tests of tf_finetune/metrics/boundary_score.py."""

import numpy as np
import pytest
from scipy import ndimage

from tf_finetune.metrics import boundary_score


def _square(start, size=200):
    """A picture whose outlines may be 0.0075 × 282.8 = 2.1 pixels off."""
    mask = np.zeros([size, size], "uint8")
    mask[start : start + 60, start : start + 60] = 1
    return mask


def _scores(true, predicted, num_classes=2):
    return boundary_score.compute_f1(true, predicted, num_classes=num_classes)


def test_an_outline_within_the_tolerance_is_right():
    np.testing.assert_array_equal(_scores(_square(50), _square(50)), [1, 1])
    assert (_scores(_square(50), _square(51)) == 1).all()
    assert (_scores(_square(50), _square(56)) < 0.5).all()


def test_it_is_f1_of_boundary_pixels_by_the_distance_transform():
    generator = np.random.default_rng(0)
    masks = [
        ndimage.zoom(generator.integers(0, 3, [6, 8]), 20, order=0)
        for _ in range(2)
    ]
    near = 0.0075 * np.hypot(*masks[0].shape)
    expected = []
    for index in range(3):
        edges = []
        for mask in masks:
            own = mask == index
            # Outside of the picture is no other class.
            edges.append(own & ~ndimage.binary_erosion(own, border_value=1))
        away = [ndimage.distance_transform_edt(~edge) for edge in edges]
        precision = np.mean(away[0][edges[1]] <= near)
        recall = np.mean(away[1][edges[0]] <= near)
        expected.append(2 * precision * recall / (precision + recall))
    np.testing.assert_allclose(_scores(*masks, num_classes=3), expected)


def test_a_class_that_one_mask_lacks_scores_0_and_one_that_both_lack_nothing():
    true = _square(50)
    predicted = true * 2
    found = _scores(true, predicted, num_classes=4)
    np.testing.assert_array_equal(found, [1, 0, 0, np.nan])


def test_ignored_pixels_make_no_boundary():
    true = _square(50)
    true[:, :80] = 255
    predicted = np.where(true == 255, 1, true)
    np.testing.assert_array_equal(_scores(true, predicted), [1, 1])
    true[:] = 255
    assert np.isnan(_scores(true, predicted)).all()


def test_pictures_are_averaged_where_a_class_has_a_boundary():
    pictures = np.array([[1, np.nan, np.nan], [0.5, 0.2, np.nan]])
    found = boundary_score.average_pictures(pictures)
    assert found[:2] == pytest.approx([0.75, 0.2])
    assert np.isnan(found[2])
