"""Selection among candidates: models evaluated on the same pictures.

A candidate is preferred for its leading figure only if the difference is
statistically significant (beyond chance). Otherwise the mean loss decides: it
uses every probability, while a figure changes by whole pictures.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy import special

# Level of both tests: without a true difference, one test in twenty finds one.
SIGNIFICANCE = 0.05
_MAX_DRAWS, _MIN_DRAWS = 2000, 200
# Bounds of time and memory: numbers weighted in all draws together, and numbers
# held at once, of 8 bytes each.
_MAX_WEIGHTED_NUMBERS, _MAX_HELD_NUMBERS = 1e8, 4e6
# With five pictures that all say the same a sign test has p = 2 / 2^5 > 0.05,
# while a bootstrap of them cannot vary and would claim certainty.
_MIN_PICTURES = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """Evaluation of one candidate on n pictures, for paired comparisons.

    Attributes:
        figure: Name of the leading metric, such as "accuracy".
        value: Function from bootstrap weights [draws, n], how often each
            picture counts, to the metric [draws]; NaN where it is undefined.
            Greater is better.
        losses: [n], the loss of each picture; NaN where there is none.
        loss: Name of their mean, "log loss".
        correct: [n] booleans where a prediction is either right or wrong;
            None where it is right to a degree.
        size: Numbers that `value` weights in one draw; 0: one per picture.
    """

    figure: str
    value: Callable[[np.ndarray], np.ndarray]
    losses: np.ndarray
    loss: str = "log loss"
    correct: np.ndarray | None = None
    size: int = 0

    @property
    def mean_loss(self) -> float:
        """Mean of the losses that are defined; inf if there is none."""
        known = self.losses[~np.isnan(self.losses)]
        return float(np.mean(known)) if len(known) else np.inf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Comparison of a second candidate with a first one.

    Attributes:
        difference: Leading metric, second minus first; NaN: undefined.
        is_significant: Whether the difference is significant.
        test: The result of the test, in words.
        losses: Mean loss of the first and of the second.
    """

    difference: float
    is_significant: bool
    test: str
    losses: tuple[float, float]

    @property
    def second_is_better(self) -> bool:
        """Whether the second is selected; ties go to the first.

        A significant difference decides, otherwise the mean loss.
        """
        if self.is_significant:
            return self.difference > 0
        return self.losses[1] < self.losses[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """Selected candidate and the reason.

    Attributes:
        name: Name of the candidate.
        reason: The comparisons that led to it, in words; empty if there was
            only one candidate.
    """

    name: str
    reason: str


def select_candidate(
    candidates: Mapping[str, Evidence], *, seed: int
) -> Selection:
    """Selects the best candidate and states the reason.

    Each is compared with the best of those before it, so that the first is
    selected unless another one is better.

    Args:
        candidates: At least one, by name, all on the same pictures.
        seed: Seed of the bootstrap.
    """
    # The order of `candidates` is that of preference.
    names = iter(candidates)
    kept, reasons = next(names), []
    for name in names:
        first, second = candidates[kept], candidates[name]
        found = compare_candidates(first, second, seed=seed)
        reasons.append(_format_reason(found, first, kept, name))
        kept = name if found.second_is_better else kept
    return Selection(name=kept, reason="; ".join(reasons))


def compare_candidates(
    first: Evidence, second: Evidence, *, seed: int
) -> Comparison:
    """Compares two candidates picture by picture.

    Predictions that are right or wrong are compared by McNemar's exact test,
    other metrics by the paired bootstrap: both candidates are evaluated on the
    same drawn pictures, and the difference is significant if its 95 %
    percentile interval leaves out 0 (and there are six pictures or more).

    Args:
        first: The one that is selected unless the second is better.
        second: On the same pictures in the same order.
        seed: Seed of the bootstrap.

    Source: McNemar 1947, "Note on the sampling error of the difference
    between correlated proportions or percentages"; Dietterich 1998,
    "Approximate statistical tests for comparing supervised classification
    learning algorithms", section 3.1; Efron and Tibshirani 1993, "An
    Introduction to the Bootstrap", section 13.3.
    """
    losses = (first.mean_loss, second.mean_loss)
    if first.correct is not None and second.correct is not None:
        return _compare_by_mcnemar(first.correct, second.correct, losses)
    # Every picture counts once: the figures themselves.
    once = np.ones([1, len(first.losses)])
    difference = float((second.value(once) - first.value(once))[0])
    low, high = bootstrap_difference(first, second, seed=seed)
    enough = len(first.losses) >= _MIN_PICTURES
    return Comparison(
        difference=difference,
        is_significant=enough and (low > 0 or high < 0),
        test=(
            f"{second.figure} {difference:+.4f} on {len(first.losses)} "
            f"pictures, 95 % interval {low:+.4f} to {high:+.4f}"
        ),
        losses=losses,
    )


def compute_mcnemar(gained: int, lost: int) -> float:
    """Computes the two-sided p-value of McNemar's exact test.

    If both were equally good, each picture that only one answers correctly
    would be gained with probability 1/2:
    p = min(1, 2 · P(X <= min(gained, lost))), X ~ Binomial(gained + lost, 1/2).

    Args:
        gained: Number of pictures that only the second answers correctly.
        lost: Number of pictures that only the first answers correctly.

    Source: McNemar 1947; Dietterich 1998, section 3.1.
    """
    # bdtr is the binomial distribution function P(X <= k).
    both = gained + lost
    return min(1.0, 2 * float(special.bdtr(min(gained, lost), both, 0.5)))


def bootstrap_difference(
    first: Evidence, second: Evidence, *, seed: int
) -> tuple[float, float]:
    """Computes the 95 % interval (low, high) of second minus first.

    It is the percentile bootstrap over pictures, 2000 draws (fewer, at least
    200, of large splits), the same draws for both. NaN: undefined.

    Args:
        first: One candidate.
        second: Another one, on the same pictures in the same order.
        seed: Seed of the draws.
    """
    differences = np.concatenate(
        [
            second.value(weights) - first.value(weights)
            # The same weights for both: that is what makes the test paired.
            for weights in _draw_weights(first, seed)
        ]
    )
    known = differences[~np.isnan(differences)]
    if not len(known):
        return np.nan, np.nan
    # The percentiles α/2 and 1 - α/2.
    share = 100 * SIGNIFICANCE / 2
    low, high = np.percentile(known, [share, 100 - share])
    return float(low), float(high)


def _draw_weights(evidence: Evidence, seed: int) -> Iterator[np.ndarray]:
    """Yields blocks [draws, n] of how often each picture is drawn."""
    count = len(evidence.losses)
    size = max(evidence.size, count)
    draws = int(np.clip(_MAX_WEIGHTED_NUMBERS // size, _MIN_DRAWS, _MAX_DRAWS))
    block = max(int(_MAX_HELD_NUMBERS // size), 1)
    generator = np.random.default_rng(seed)
    for start in range(0, draws, block):
        # n draws with replacement among n pictures, as counts per picture.
        yield generator.multinomial(
            count, np.full(count, 1 / count), size=min(block, draws - start)
        )


def _compare_by_mcnemar(
    first: np.ndarray, second: np.ndarray, losses: tuple[float, float]
) -> Comparison:
    # The discordant pairs; pictures that both answer alike say nothing.
    gained = int(np.sum(second & ~first))
    lost = int(np.sum(first & ~second))
    p_value = compute_mcnemar(gained, lost)
    return Comparison(
        # Of two accuracies: the pictures that both get right cancel out.
        difference=(gained - lost) / len(first),
        is_significant=p_value < SIGNIFICANCE,
        test=(
            f"of {len(first)} pictures {gained} gained and {lost} lost, exact "
            f"McNemar p = {p_value:.2g}"
        ),
        losses=losses,
    )


def _format_reason(
    found: Comparison, first: Evidence, first_name: str, second_name: str
) -> str:
    """Formats one comparison in words."""
    before, after = found.losses
    if found.is_significant:
        verdict = f"beyond chance, so {first.figure} decides"
    else:
        verdict = f"within chance, so {first.loss} decides"
    return (
        f"{second_name} against {first_name}: {found.test} ({verdict}); "
        f"{first.loss} {after:.4f} against {before:.4f}"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccuracyDifference:
    """Difference of two accuracies with its 95 % interval.

    Attributes:
        difference: Accuracy of the first minus that of the second, -1..1.
        low: Lower bound of the difference.
        high: Upper bound of the difference.
    """

    difference: float
    low: float
    high: float


def compare_accuracies(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> AccuracyDifference:
    """Compares the accuracies of two results from their intervals alone.

    The interval treats the results as independent. On the same pictures they
    usually err together, and the true interval is then narrower.

    Args:
        first: Metrics with `accuracy` and `accuracy_interval`.
        second: The same of the other result.

    Source: Zou and Donner 2008, "Construction of confidence limits about
    effect measures", equation 2 (MOVER).
    """
    (low, high), (other_low, other_high) = (
        each["accuracy_interval"] for each in (first, second)
    )
    # MOVER for a difference, equation 2:
    #   L = d - sqrt((p1 - l1)² + (u2 - p2)²)
    #   U = d + sqrt((u1 - p1)² + (p2 - l2)²)
    mine, other = first["accuracy"], second["accuracy"]
    difference = mine - other
    return AccuracyDifference(
        difference=difference,
        low=difference - math.hypot(mine - low, other_high - other),
        high=difference + math.hypot(high - mine, other - other_low),
    )
