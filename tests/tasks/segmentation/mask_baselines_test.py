"""What masks reach that do not look at the picture."""

import numpy as np
import pytest
from sklearn import metrics

from tf_finetune.tasks.segmentation import mask_baselines


def test_chance_is_what_drawing_classes_comes_to():
    true = np.repeat([0, 1, 2], [60_000, 30_000, 10_000])
    predicted = np.random.default_rng(0).integers(0, 3, size=len(true))
    found = mask_baselines.compute_chance([60_000, 30_000, 10_000])
    assert found["mean_iou"] == pytest.approx(
        metrics.jaccard_score(true, predicted, average="macro"),
        abs=0.003,
    )
    assert found["pixel_accuracy"] == pytest.approx(1 / 3)


def test_the_most_frequent_class_is_that_of_training():
    found = mask_baselines.compute_most_frequent_class([1, 9, 0], [50, 30, 20])
    assert found["pixel_accuracy"] == pytest.approx(0.3)
    assert found["mean_iou"] == pytest.approx(0.3 / 3)
    assert found["mean_accuracy"] == pytest.approx(1 / 3)
