"""The choice between candidates, against numbers computed by hand."""

import numpy as np
import pytest

from tf_finetune.metrics import candidate_selection


def _answers(correct, losses):
    """Evidence of answers that are right or wrong."""
    correct = np.asarray(correct, bool)
    return candidate_selection.Evidence(
        figure="accuracy",
        value=lambda weights: weights @ correct / weights.sum(axis=1),
        losses=np.broadcast_to(np.asarray(losses, float), correct.shape),
        correct=correct,
    )


def _values(values, losses):
    """Evidence of a figure that is the mean of a value a picture."""
    values = np.asarray(values, float)
    return candidate_selection.Evidence(
        figure="score",
        value=lambda weights: weights @ values / weights.sum(axis=1),
        losses=np.broadcast_to(np.asarray(losses, float), values.shape),
    )


def _pair(both, gained, lost, *, losses):
    """Two candidates with so many pictures answered rightly by which."""
    first = [1] * both + [0] * gained + [1] * lost
    second = [1] * both + [1] * gained + [0] * lost
    return {
        "probe": _answers(first, losses[0]),
        "fine_tune": _answers(second, losses[1]),
    }


@pytest.mark.parametrize(
    ("gained", "lost", "expected"),
    [
        (0, 0, 1.0),
        (1, 1, 1.0),  # P(X <= 1 of 2) = 3/4, twice that is above 1.
        (7, 5, 1586 * 2 / 4096),  # C(12, 0) + … + C(12, 5) = 1586.
        (5, 0, 2 / 32),
        (6, 0, 2 / 64),
        (0, 6, 2 / 64),
        (9, 1, 2 * 11 / 1024),
    ],
)
def test_mcnemar_is_the_binomial_test_of_what_differs(gained, lost, expected):
    assert candidate_selection.compute_mcnemar(gained, lost) == pytest.approx(
        expected
    )


def test_two_pictures_of_340_with_a_worse_log_loss_do_not_decide():
    pair = _pair(308, 7, 5, losses=(0.257, 0.311))
    kept = candidate_selection.select_candidate(pair, seed=0)
    assert kept.name == "probe"
    assert "7 gained and 5 lost" in kept.reason
    assert "p = 0.77" in kept.reason
    assert "within chance, so log loss decides" in kept.reason
    assert "log loss 0.3110 against 0.2570" in kept.reason


@pytest.mark.parametrize(
    ("gained", "lost", "losses", "kept"),
    [
        (6, 0, (0.2, 0.9), "fine_tune"),  # Beyond chance, whatever the loss.
        (0, 6, (0.9, 0.2), "probe"),
        (5, 0, (0.2, 0.9), "probe"),  # Within chance: the loss decides.
        (0, 5, (0.9, 0.2), "fine_tune"),
        (3, 3, (0.5, 0.5), "probe"),  # Nothing speaks for the second.
        (0, 0, (np.nan, np.nan), "probe"),
        (0, 0, (np.nan, 0.5), "fine_tune"),
    ],
)
def test_beyond_chance_the_figure_decides_within_it_the_loss(
    gained, lost, losses, kept
):
    pair = _pair(50, gained, lost, losses=losses)
    assert candidate_selection.select_candidate(pair, seed=0).name == kept


def test_the_bootstrap_of_a_difference_is_that_of_a_mean():
    generator = np.random.default_rng(3)
    first = generator.normal(0.5, 0.2, 80)
    second = first + generator.normal(0.05, 0.1, 80)
    low, high = candidate_selection.bootstrap_difference(
        _values(first, 0), _values(second, 0), seed=0
    )
    gains = second - first
    error = 1.96 * gains.std() / np.sqrt(80)  # The normal approximation.
    assert low == pytest.approx(gains.mean() - error, abs=0.004)
    assert high == pytest.approx(gains.mean() + error, abs=0.004)


def test_a_paired_difference_is_seen_where_intervals_overlap():
    # Each moves by 0.3 from picture to picture, their difference by 0.01.
    generator = np.random.default_rng(4)
    first = generator.normal(0.5, 0.3, 60)
    second = first + generator.normal(0.02, 0.01, 60)
    pair = {"a": _values(first, 0.1), "b": _values(second, 0.2)}
    kept = candidate_selection.select_candidate(pair, seed=0)
    assert kept.name == "b"
    assert "beyond chance, so score decides" in kept.reason


def test_few_pictures_that_all_agree_are_no_certainty():
    for count, kept in ((5, "a"), (6, "b")):
        pair = {
            "a": _values(np.zeros(count), 0.1),
            "b": _values(np.ones(count), 0.2),
        }
        assert candidate_selection.select_candidate(pair, seed=0).name == kept


def test_a_figure_that_is_not_defined_leaves_it_to_the_loss():
    undefined = np.full(20, np.nan)
    pair = {"a": _values(undefined, 0.2), "b": _values(undefined, 0.1)}
    assert candidate_selection.select_candidate(pair, seed=0).name == "b"


def test_of_several_each_is_compared_with_the_best_before_it():
    losses = {"a": 0.3, "b": 0.2, "c": 0.4, "d": 0.1}
    found = candidate_selection.select_candidate(
        {name: _answers([1] * 9, loss) for name, loss in losses.items()},
        seed=0,
    )
    assert found.name == "d"
    for words in ("b against a", "c against b", "d against b"):
        assert words in found.reason
    assert (
        candidate_selection.select_candidate(
            {"a": _answers([1], 0)}, seed=0
        ).name
        == "a"
    )


def test_large_splits_are_drawn_in_blocks(monkeypatch):
    generator = np.random.default_rng(1)
    first, second = (_values(generator.normal(size=50), 0) for _ in range(2))
    whole = candidate_selection.bootstrap_difference(first, second, seed=0)
    monkeypatch.setattr(candidate_selection, "_MAX_HELD_NUMBERS", 50 * 7)
    assert (
        candidate_selection.bootstrap_difference(first, second, seed=0) == whole
    )


def test_a_comparison_combines_the_intervals_by_hand():
    first = {"accuracy": 0.9, "accuracy_interval": [0.87, 0.92]}
    second = {"accuracy": 0.8, "accuracy_interval": [0.77, 0.84]}

    compared = candidate_selection.compare_accuracies(first, second)

    assert compared.difference == pytest.approx(0.1)
    assert compared.low == pytest.approx(0.1 - 0.05)  # 3-4-5
    assert compared.high == pytest.approx(0.1 + np.hypot(0.02, 0.03))
