"""Figures against values by hand and in numpy."""

import json

import numpy as np
import pytest
from sklearn import metrics as reference

from tf_finetune import errors
from tf_finetune.metrics import classification_metrics

NAMES = ("ants", "bees", "wasps")


def _random(num_examples, num_classes, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_classes, num_examples)
    logits = generator.normal(size=(num_examples, num_classes))
    logits[np.arange(num_examples), labels] += 1
    odds = np.exp(logits)
    return labels, odds / odds.sum(axis=1, keepdims=True)


def _names(count):
    return [f"class {i}" for i in range(count)]


def test_a_case_by_hand():
    labels = np.array([0, 0, 0, 1, 1])
    probabilities = np.array(
        [[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.1, 0.9], [0.5, 0.5]]
    )

    figures = classification_metrics.compute_metrics(
        labels, probabilities, class_names=("no", "yes"), seed=0
    )

    assert figures["examples"] == 5
    assert figures["accuracy"] == pytest.approx(3 / 5)
    # The last row is a tie: the first class wins.
    assert figures["confusion_matrix"] == [[2, 1], [1, 1]]
    assert figures["per_class"]["yes"] == {
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "support": 2,
    }
    assert figures["macro_recall"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert figures["weighted_recall"] == pytest.approx(3 / 5)
    assert figures["log_loss"] == pytest.approx(
        -np.mean(np.log([0.8, 0.6, 0.3, 0.9, 0.5]))
    )
    assert figures["top_5_accuracy"] is None


@pytest.mark.parametrize("num_classes", [2, 3, 12])
def test_figures_of_classes_follow_from_the_matrix(num_classes):
    labels, probabilities = _random(500, num_classes)
    names = _names(num_classes)

    figures = classification_metrics.compute_metrics(
        labels, probabilities, class_names=names, seed=0
    )

    matrix = np.zeros([num_classes, num_classes])
    for pair in zip(labels, probabilities.argmax(axis=1), strict=True):
        matrix[pair] += 1
    hits, support = np.diag(matrix), matrix.sum(axis=1)
    expected = {
        "precision": hits / matrix.sum(axis=0),
        "recall": hits / support,
        "f1": 2 * hits / (support + matrix.sum(axis=0)),
    }
    assert figures["confusion_matrix"] == matrix.tolist()
    assert figures["accuracy"] == pytest.approx(hits.sum() / 500)
    for figure, column in expected.items():
        found = [figures["per_class"][name][figure] for name in names]
        np.testing.assert_allclose(found, column, atol=1e-9)
        assert figures[f"macro_{figure}"] == pytest.approx(column.mean())
        assert figures[f"weighted_{figure}"] == pytest.approx(
            column @ support / 500
        )
    assert figures["log_loss"] == pytest.approx(
        -np.mean(np.log(probabilities[np.arange(500), labels]))
    )


def test_top_5_agrees_with_scikit_learn():
    labels, probabilities = _random(300, 9)

    expected = reference.top_k_accuracy_score(labels, probabilities, k=5)
    assert (
        classification_metrics.top_accuracy(labels, probabilities, 5)
        == expected
    )


def test_top_5_of_equal_probabilities_takes_the_first_classes():
    probabilities = np.full([10, 10], 0.1)

    assert (
        classification_metrics.top_accuracy(np.arange(10), probabilities, 5)
        == 0.5
    )


def test_a_class_without_support_has_no_figures_and_no_weight():
    labels = np.array([0, 0, 1, 1])
    probabilities = np.eye(3)[[0, 2, 1, 1]]

    figures = classification_metrics.compute_metrics(
        labels, probabilities, class_names=NAMES, seed=0
    )

    assert figures["per_class"]["wasps"] == {
        "precision": None,
        "recall": None,
        "f1": None,
        "support": 0,
    }
    assert figures["macro_recall"] == pytest.approx((1 / 2 + 1) / 2)
    assert figures["macro_precision"] == 1.0


def test_a_class_that_is_never_predicted_has_precision_0():
    figures = classification_metrics.compute_metrics(
        np.array([0, 1]), np.eye(2)[[0, 0]], class_names=("a", "b"), seed=0
    )

    assert figures["per_class"]["b"]["precision"] == 0.0
    assert figures["macro_precision"] == pytest.approx(0.25)


def test_log_loss_of_a_certain_mistake_is_finite():
    loss = classification_metrics.log_loss(
        np.array([1]), np.array([[1.0, 0.0]])
    )

    assert loss == pytest.approx(-np.log(np.finfo("float32").eps))


def test_calibration_error_by_hand():
    # Bins of 1/15: 0.95 and 0.96 share the last, 0.55 lies in the ninth.
    confidence = np.array([0.95, 0.96, 0.55, 0.55])
    correct = np.array([True, False, True, True])

    expected = (abs(1 - 1.91) + abs(2 - 1.10)) / 4
    assert classification_metrics.expected_calibration_error(
        confidence, correct
    ) == pytest.approx(expected)


def test_calibration_bins_include_their_upper_edge():
    # 0.2 = 3/15 belongs to the third bin, 0.21 to the fourth; apart, their
    # gaps of opposite sign do not cancel.
    error = classification_metrics.expected_calibration_error(
        np.array([0.2, 0.21]), np.array([True, False])
    )

    assert error == pytest.approx((0.8 + 0.21) / 2)


def test_confidence_1_is_counted():
    error = classification_metrics.expected_calibration_error(
        np.array([1.0, 1.0 + 1e-7]), np.array([False, False])
    )

    assert error == pytest.approx(1.0)


def test_the_interval_is_the_bootstrap_over_examples():
    correct = np.arange(150) < 130
    low, high = classification_metrics.accuracy_interval(130, 150, seed=0)

    generator = np.random.default_rng(1)
    draws = generator.choice(correct, size=(20_000, 150)).mean(axis=1)
    expected = np.percentile(draws, [2.5, 97.5])
    np.testing.assert_allclose([low, high], expected, atol=0.01)


def test_the_interval_repeats_with_its_seed():
    first, again, other = (
        classification_metrics.accuracy_interval(500, 1001, seed=s)
        for s in (3, 3, 4)
    )

    assert first == again != other


@pytest.mark.parametrize("examples", [1, 20, 1000])
def test_the_interval_of_a_perfect_result_is_not_a_point(examples):
    low, high = classification_metrics.accuracy_interval(
        examples, examples, seed=0
    )

    # Twenty examples in a row succeed with probability 0.025.
    assert low**examples == pytest.approx(0.025)
    assert high == 1.0
    assert classification_metrics.accuracy_interval(
        0, examples, seed=0
    ) == pytest.approx([0.0, 1 - low])


def test_the_result_is_json_without_nan():
    labels, probabilities = _random(30, 8)
    labels[labels == 7] = 0

    figures = classification_metrics.compute_metrics(
        labels.astype("int64"),
        probabilities.astype("float32"),
        class_names=_names(8),
        seed=0,
    )

    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_no_example_is_an_error():
    with pytest.raises(errors.DataError, match="no picture to evaluate"):
        classification_metrics.compute_metrics(
            np.zeros([0], int), np.zeros([0, 3]), class_names=NAMES, seed=0
        )


def test_a_diverged_model_is_an_error():
    probabilities = np.array([[np.nan] * 3, [1.0, 0, 0]])

    with pytest.raises(errors.RunError, match="1 of 2 pictures"):
        classification_metrics.compute_metrics(
            np.array([0, 0]), probabilities, class_names=NAMES, seed=0
        )


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [([0], [[0.5, 0.5]]), ([3], [[1, 0, 0]]), ([0], [[5.0, -2.0, 1.0]])],
)
def test_arrays_that_do_not_belong_together_are_an_error(labels, probabilities):
    with pytest.raises(ValueError, match="must"):
        classification_metrics.compute_metrics(
            np.array(labels), np.array(probabilities), class_names=NAMES, seed=0
        )


def test_the_majority_is_that_of_the_training_pictures():
    baseline = classification_metrics.evaluate_majority_class(
        [0, 0, 0, 1], [1, 1, 1, 0], class_names=("ants", "bees")
    )

    assert baseline["class"] == "ants"
    assert baseline["accuracy"] == 0.25
    low, high = baseline["accuracy_interval"]
    assert low < 0.25 < high


def test_of_equally_common_classes_the_first_is_the_majority():
    baseline = classification_metrics.evaluate_majority_class(
        [2, 1, 1, 2], [0, 1], class_names=("a", "b", "c")
    )

    assert baseline["class"] == "b"
