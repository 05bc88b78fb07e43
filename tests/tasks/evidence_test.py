"""What each task compares two models by: its leading figure and its loss."""

import numpy as np
import pytest

from tf_finetune.metrics import (
    classification_metrics,
    multilabel_metrics,
    regression_metrics,
    segmentation_metrics,
)
from tf_finetune.tasks.classification import figures as classification
from tf_finetune.tasks.multilabel import figures as multilabel
from tf_finetune.tasks.regression import figures as regression

_ONCE = np.ones([1, 40])
# How often each of forty pictures is in a draw.
_DRAW = np.random.default_rng(9).multinomial(40, np.full(40, 1 / 40), size=1)


def _repeated(values):
    return np.repeat(values, _DRAW[0], axis=0)


def test_a_classifier_is_compared_by_right_answers_and_log_loss():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 40)
    probabilities = generator.dirichlet([1, 1, 1], 40)
    found = classification.build_evidence(labels, probabilities)
    whole = classification_metrics.compute_metrics(
        labels, probabilities, class_names="abc", seed=0
    )
    assert found.value(_ONCE)[0] == pytest.approx(whole["accuracy"])
    assert found.correct.mean() == pytest.approx(whole["accuracy"])
    assert found.mean_loss == pytest.approx(whole["log_loss"])


def test_labels_are_compared_by_average_precision_and_log_loss():
    generator = np.random.default_rng(0)
    truth = generator.uniform(size=[40, 3]) < 0.4
    scores = np.clip(0.3 * truth + 0.7 * generator.uniform(size=[40, 3]), 0, 1)
    found = multilabel.build_evidence(truth, scores)

    def of(truth, scores):
        return multilabel_metrics.compute_metrics(
            truth, scores, thresholds=np.full(3, 0.5), names="abc", seed=0
        )

    drawn = of(_repeated(truth), _repeated(scores))
    assert found.value(_DRAW)[0] == pytest.approx(
        drawn["macro_average_precision"]
    )
    assert found.mean_loss == pytest.approx(of(truth, scores)["log_loss"])
    assert found.correct is None


def test_labels_that_nobody_carries_have_no_average_precision():
    found = multilabel.build_evidence(
        np.zeros([40, 2], bool), np.full([40, 2], 0.5)
    )
    assert np.isnan(found.value(_DRAW)).all()


@pytest.mark.parametrize(("logged", "name"), [(False, "r2"), (True, "log_r2")])
def test_a_regression_is_compared_by_r2(logged, name):
    generator = np.random.default_rng(0)
    targets = generator.uniform(1, 9, [40, 2])
    said = targets * generator.uniform(0.5, 1.5, [40, 2])
    measures = regression.Figures(logged=(logged, logged))
    found = measures.evidence(targets, said)

    def of(targets, said):
        return regression_metrics.compute_metrics(
            targets, said, names=["a", "b"], seed=0
        )[name]

    assert found.value(_DRAW)[0] == pytest.approx(
        of(_repeated(targets), _repeated(said))
    )
    # So that within chance the better R² is kept.
    assert found.mean_loss == pytest.approx(1 - of(targets, said))


def test_r2_of_equal_targets_is_not_defined():
    targets = np.array([[2.0], [2.0], [5.0]])
    found = regression.Figures().evidence(targets, targets + 0.1)
    twice = np.array([[2, 1, 0], [0, 0, 3]])
    assert np.isnan(found.value(twice)).all()


def test_masks_are_compared_by_the_iou_of_summed_pixels():
    generator = np.random.default_rng(0)
    counter = segmentation_metrics.PixelCounter(3)
    masks = generator.integers(0, 3, [40, 2, 6, 6])
    for true, predicted in masks:
        counter.add(true, predicted)
    again = segmentation_metrics.PixelCounter(3)
    for true, predicted in _repeated(masks):
        again.add(true, predicted)
    drawn = segmentation_metrics.mean_iou(counter.pictures.resample(_DRAW))[0]
    whole = segmentation_metrics.summarize_confusion(again.confusion)[
        "mean_iou"
    ]
    assert drawn == pytest.approx(whole)
