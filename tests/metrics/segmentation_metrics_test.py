"""Tests of tf_finetune/metrics/segmentation_metrics.py."""

import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from tf_finetune import errors
from tf_finetune.metrics import segmentation_metrics

_NAMES = ("sky", "road", "car", "ghost")


@pytest.fixture(scope="module")
def pairs():
    """Masks of 7 pictures and predictions that are right half of the time."""
    generator = np.random.default_rng(0)
    true = generator.choice([0, 1, 2, 255], size=[7, 10, 12]).astype("uint8")
    guess = generator.integers(0, 4, size=true.shape)
    right = generator.random(true.shape) < 0.5
    predicted = np.where(right & (true != 255), true, guess)
    return true, predicted.astype("uint8")


@pytest.fixture(scope="module")
def counter(pairs):
    counter = segmentation_metrics.PixelCounter(4)
    for true, predicted in zip(*pairs, strict=True):
        counter.add(true, predicted)
    return counter


@pytest.fixture(scope="module")
def flat(pairs):
    true, predicted = pairs
    return true[true != 255], predicted[true != 255]


def test_figures_are_those_of_all_pixels_together(counter, flat):
    found = segmentation_metrics.compute_metrics(
        counter, class_names=_NAMES, seed=0
    )
    iou = sklearn_metrics.jaccard_score(*flat, labels=[0, 1, 2], average=None)
    dice = sklearn_metrics.f1_score(*flat, labels=[0, 1, 2], average=None)
    recall = sklearn_metrics.recall_score(*flat, labels=[0, 1, 2], average=None)
    shares = np.bincount(flat[0]) / len(flat[0])
    assert found["mean_iou"] == pytest.approx(iou.mean())
    assert found["mean_dice"] == pytest.approx(dice.mean())
    assert found["mean_accuracy"] == pytest.approx(recall.mean())
    assert found["pixel_accuracy"] == pytest.approx(np.mean(flat[0] == flat[1]))
    assert found["frequency_weighted_iou"] == pytest.approx(
        (shares * iou).sum()
    )
    for i, name in enumerate(_NAMES[:3]):
        row = found["per_class"][name]
        assert row["iou"] == pytest.approx(iou[i])
        assert row["dice"] == pytest.approx(dice[i])
        assert row["accuracy"] == pytest.approx(recall[i])
        assert row["pixels"] == (flat[0] == i).sum()
    assert found["pictures"] == 7
    assert found["pixels"] == len(flat[0])
    json.dumps(found, allow_nan=False)


def test_a_class_without_a_true_pixel_has_no_figures(counter):
    found = segmentation_metrics.compute_metrics(
        counter, class_names=_NAMES, seed=0
    )
    ghost = found["per_class"]["ghost"]
    assert ghost.pop("pixels") == 0
    assert set(ghost.values()) == {None}


def test_the_interval_is_the_bootstrap_over_pictures(pairs, counter):
    found = segmentation_metrics.bootstrap_mean_iou(counter.pictures, seed=0)
    generator = np.random.default_rng(1)
    values = []
    for _ in range(500):
        drawn = generator.integers(0, 7, size=7)
        true, predicted = (each[drawn].ravel() for each in pairs)
        counted = true != 255
        values.append(
            sklearn_metrics.jaccard_score(
                true[counted],
                predicted[counted],
                labels=[0, 1, 2],
                average="macro",
            )
        )
    expected = np.percentile(values, [2.5, 97.5])
    np.testing.assert_allclose(found, expected, atol=0.012)
    assert found == segmentation_metrics.bootstrap_mean_iou(
        counter.pictures, seed=0
    )


def test_each_picture_has_a_mean_iou_of_its_own(pairs):
    true, predicted = (each[3] for each in pairs)
    counted = true != 255
    expected = sklearn_metrics.jaccard_score(
        true[counted], predicted[counted], labels=[0, 1, 2], average="macro"
    )
    assert segmentation_metrics.PixelCounter(4).add(
        true, predicted
    ) == pytest.approx(expected)


def test_without_a_pixel_there_are_no_figures():
    counter = segmentation_metrics.PixelCounter(2)
    counter.add(np.full([2, 2], 255, "uint8"), np.zeros([2, 2], "uint8"))
    with pytest.raises(errors.DataError, match="no pixel"):
        segmentation_metrics.compute_metrics(
            counter, class_names=("a", "b"), seed=0
        )


def test_masks_of_different_size_are_refused():
    with pytest.raises(ValueError, match="equally large"):
        segmentation_metrics.PixelCounter(2).add(
            np.zeros([2, 3], "uint8"), np.zeros([3, 2], "uint8")
        )


@pytest.mark.parametrize(("value", "dtype"), [(255, "uint8"), (-1, "int32")])
def test_a_prediction_that_is_no_class_is_refused(value, dtype):
    counter = segmentation_metrics.PixelCounter(2)
    true = np.array([[1, 1], [1, 255]], "uint8")
    predicted = np.array([[0, 1], [value, 0]], dtype)
    with pytest.raises(ValueError, match=f"from 0 to 1, got {value}"):
        counter.add(true, predicted)
    assert not counter.confusion.any()
    counter.add(true, np.array([[0, 1], [1, value]], dtype))  # Ignored.
    assert counter.confusion.tolist() == [[0, 0], [1, 2]]
