"""Thresholds: what they reach on pictures they were not chosen on."""

import numpy as np
import pytest
from scipy import special

from tf_finetune import errors
from tf_finetune.tasks.multilabel import label_thresholds

_SHARES = np.array([0.5, 0.2, 0.04])


def _drawn(count: int, seed: int):
    """Returns labels and the probabilities that they were drawn by."""
    generator = np.random.default_rng(seed)
    logits = special.logit(_SHARES) + generator.normal(0, 1.5, [count, 3])
    probabilities = special.expit(logits)
    return generator.uniform(size=logits.shape) < probabilities, probabilities


def _score(truth: np.ndarray, given: np.ndarray) -> float:
    """Returns F1: 2 · hits / (carrying + given)."""
    return 2 * np.sum(truth & given) / (np.sum(truth) + np.sum(given))


def _best(probabilities: np.ndarray, truth: np.ndarray) -> list[float]:
    tried = np.linspace(0.01, 0.99, 99)
    scores = [
        [_score(truth[:, i], probabilities[:, i] >= each) for each in tried]
        for i in range(3)
    ]
    return [float(max(row)) for row in scores]


def _f1(truth: np.ndarray, probabilities: np.ndarray, bounds) -> list[float]:
    return [
        _score(truth[:, i], probabilities[:, i] >= bounds[i]) for i in range(3)
    ]


@pytest.mark.parametrize("distort", [(1, 0), (3, 2), (0.5, -2)])
def test_probabilities_that_mean_something_else_are_read_right(distort):
    truth, probabilities = _drawn(4000, 0)
    later, its = _drawn(4000, 1)
    seen, judged = (
        special.expit(special.logit(each) * distort[0] + distort[1])
        for each in (probabilities, its)
    )
    got = _f1(later, judged, label_thresholds.choose_thresholds(truth, seen))
    np.testing.assert_allclose(got, _best(its, later), atol=0.03)


def test_few_pictures_do_not_make_a_rare_label_a_matter_of_luck():
    later, its = _drawn(4000, 1)
    reached, lucky, halves = [], [], []
    for seed in range(20):
        truth, probabilities = _drawn(100, seed + 2)
        bounds = label_thresholds.choose_thresholds(truth, probabilities)
        reached.append(_f1(later, its, bounds)[2])
        halves.append(_f1(later, its, [0.5] * 3)[2])
        tried = np.unique(probabilities[:, 2])
        scores = [
            _score(truth[:, 2], probabilities[:, 2] >= each) for each in tried
        ]
        best = tried[int(np.argmax(scores))]
        lucky.append(_f1(later, its, [0.5, 0.5, best])[2])
    assert np.mean(reached) > np.mean(lucky)
    assert np.mean(reached) > np.mean(halves)
    assert np.min(reached) > np.min(lucky)


@pytest.mark.parametrize("value", [False, True])
def test_where_validation_tells_nothing_it_is_half(value):
    truth, probabilities = _drawn(50, 0)
    truth[:, 1] = value
    assert label_thresholds.choose_thresholds(truth, probabilities)[1] == 0.5


def test_a_threshold_lies_between_probabilities():
    truth = np.array([[1], [1], [0], [0]])
    probabilities = np.array([[0.9], [0.8], [0.2], [0.1]])
    (bound,) = label_thresholds.choose_thresholds(truth, probabilities)
    assert bound == np.float32(0.5)


def test_equal_probabilities_are_given_together():
    truth = np.array([[1], [0], [0], [1]])
    (bound,) = label_thresholds.choose_thresholds(truth, np.full([4, 1], 0.25))
    assert bound == 0.25


def test_certain_probabilities_are_no_trouble():
    truth = np.array([[1], [0], [0], [1], [1]])
    probabilities = np.array([[1.0], [0.0], [0.0], [1.0], [0.0]], "float32")
    (bound,) = label_thresholds.choose_thresholds(truth, probabilities)
    assert 0 < bound <= 0.5


def test_a_label_that_is_told_upside_down_gets_a_threshold():
    truth, probabilities = _drawn(200, 0)
    bounds = label_thresholds.choose_thresholds(truth, 1 - probabilities)
    assert ((bounds >= 0) & (bounds <= 1)).all()


def test_a_decision_is_read_in_any_order_of_the_names():
    truth, probabilities = _drawn(100, 0)
    decided = label_thresholds.make_decision(
        truth, probabilities, ["a", "b", "c"]
    )
    bounds = label_thresholds.choose_thresholds(truth, probabilities)
    np.testing.assert_array_equal(
        label_thresholds.read_thresholds(decided, ["c", "a", "new"]),
        [bounds[2], bounds[0], 0.5],
    )
    np.testing.assert_array_equal(
        label_thresholds.read_thresholds({}, ["a", "b"]), [0.5, 0.5]
    )


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_moved_thresholds_give_the_same_labels(temperature):
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, [500, 4]).astype("float32")
    before = special.expit(logits)
    # The third is the lowest probability itself, the last one gives none.
    bounds = np.array([0.5, 0.07, before[:, 2].min(), 0.99999], "float32")

    found = label_thresholds.convert_thresholds(bounds, logits, temperature)

    np.testing.assert_array_equal(
        special.expit(logits / np.float32(temperature)) >= found,
        before >= bounds,
    )
    exact = 1 / (1 + (1 / 0.07 - 1) ** (1 / temperature))
    assert found[:2] == pytest.approx([0.5, exact], abs=2e-3)
    assert (before[:, 2] >= bounds[2]).all()


def test_a_threshold_between_pictures_moves_by_the_formula():
    logits = np.array([[-4.0], [4.0]], "float32")
    found = label_thresholds.convert_thresholds(np.array([0.2]), logits, 2.0)
    # logit(0.2) = -ln 4, halved -ln 2: sigmoid 1/3.
    assert found == pytest.approx([1 / 3])


def test_no_moved_threshold_is_one_that_everything_reaches():
    logits = np.array([[-15.0]], "float32")
    (found,) = label_thresholds.convert_thresholds(
        special.expit(logits[0]), logits, 0.5
    )
    assert 0 < found <= special.expit(np.float32(-30))


def test_probabilities_that_become_equal_are_an_error():
    logits = np.array([[9.0], [10.0]], "float32")
    bounds = special.expit(np.array([9.5]))
    with pytest.raises(errors.RunError, match="equal in float32"):
        label_thresholds.convert_thresholds(bounds, logits, 0.05)
    # A probability of 1 in float32 may be below it once it is divided.
    sure = np.array([[15.0], [20.0]], "float32")
    assert label_thresholds.convert_thresholds(
        np.array([1.0]), sure, 2.0
    ) == pytest.approx(special.expit(17.33 / 2), abs=1e-6)
