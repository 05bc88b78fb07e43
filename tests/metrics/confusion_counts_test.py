"""Confusion matrices of many classes, whole or by the cells that are not 0."""

import json
import tracemalloc

import numpy as np
import pytest
from sklearn import metrics as reference

from tf_finetune.metrics import classification_metrics, confusion_counts


@pytest.mark.parametrize("classes", [2, 100, 101, 400])
def test_counts_are_scikit_learns_and_survive_json(classes):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, 300)
    said = np.where(generator.uniform(size=300) < 0.6, labels, labels // 2)
    expected = reference.confusion_matrix(
        labels, said, labels=np.arange(classes)
    )

    found = confusion_counts.count_pairs(labels, said, classes)
    again = confusion_counts.from_json(
        json.loads(json.dumps(confusion_counts.to_json(found)))
    )

    for each in (found, again):
        np.testing.assert_array_equal(each.toarray(), expected)
    pixels = confusion_counts.count_pixels(labels, said, classes)
    np.testing.assert_array_equal(pixels, expected)
    if classes <= 100:
        assert confusion_counts.to_json(found) == expected.tolist()


def test_neighboring_classes_are_added_up():
    found = confusion_counts.count_pairs(
        np.array([0, 1, 2, 3, 4]), np.array([0, 0, 3, 2, 4]), 5
    )
    # By hand: classes 0 and 1, 2 and 3, 4 alone.
    assert confusion_counts.sum_blocks(found, 3).tolist() == [
        [2, 0, 0],
        [0, 2, 0],
        [0, 0, 1],
    ]
    assert confusion_counts.sum_blocks(found, 9).shape == (5, 5)


def test_ten_thousand_classes_cost_no_square_of_them():
    labels = np.repeat(np.arange(10_000), 2)
    tracemalloc.start()
    found = confusion_counts.count_pairs(labels, labels[::-1], 10_000)
    text = json.dumps(confusion_counts.to_json(found))
    confusion_counts.sum_blocks(found, 200)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6  # A matrix would have 800 MB.
    assert len(text) < 1e6


def test_figures_of_1500_classes_are_small_as_json():
    labels = np.arange(1500)
    probabilities = np.full([1500, 1500], 1e-9)
    probabilities[labels, labels] = 1 - 1499e-9
    figures = classification_metrics.compute_metrics(
        labels,
        probabilities,
        class_names=[f"id{i:05d}" for i in labels],
        seed=0,
    )
    # Of the 2 MB that three splits may have in evaluation.json.
    assert len(json.dumps(figures, indent=2)) < 600_000
    assert figures["macro_f1"] == 1.0
