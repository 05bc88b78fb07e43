"""The figures of pictures with any number of labels, ready for JSON."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from tf_finetune import errors

_DRAWS, _FEWEST_DRAWS = 2000, 200
# Cells (draws × pictures × labels) that are weighed in about a second, and
# numbers that are held at once.
_CELLS, _HELD = 2e8, 5e6
# What float32 cannot tell from 0; scikit-learn clips there, too.
_SMALLEST = float(np.finfo("float32").eps)


def multilabel(
    targets: np.ndarray,
    probabilities: np.ndarray,
    *,
    thresholds: np.ndarray,
    names: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """Compares probabilities with the labels that pictures carry.

    Macro averages are over the labels that a picture of these carries: of the
    others nothing is known, and all their figures are None. A label that is
    never given has precision 0. Micro averages are over all pairs of picture
    and label.

    Args:
        targets: [n, labels], 1 where the picture carries the label, else 0.
        probabilities: [n, labels] in 0..1.
        thresholds: [labels]; a label is given from this probability on.
        names: Of the labels, in the order of the columns.
        seed: Of the bootstrap.

    Returns:
        Plain numbers, lists and dictionaries; what is not defined is None.
        Keys: `examples`, `class_names`, `macro_average_precision`,
        `macro_average_precision_interval`, `macro_` and `micro_` of
        `average_precision`, `roc_auc`, `precision`, `recall` and `f1`,
        `exact_match`, `hamming_loss`, `log_loss` (mean over all pairs) and
        `per_label` (by name: `average_precision`, `roc_auc`, `precision`,
        `recall`, `f1`, `threshold`, `support`).

    Raises:
        DataError: There is no example.
        RunError: A probability is NaN or infinite.
        ValueError: The arrays do not belong together.
    """
    targets = np.asarray(targets) > 0
    probabilities = np.asarray(probabilities, dtype="float64")
    _check(targets, probabilities, names)
    given = probabilities >= np.asarray(thresholds)
    per_label = {
        name: _of_label(targets[:, i], probabilities[:, i], given[:, i])
        | {"threshold": float(thresholds[i])}
        for i, name in enumerate(names)
    }
    pairs = _of_label(targets.ravel(), probabilities.ravel(), given.ravel())
    pairs.pop("support")
    return {
        "examples": len(targets),
        "class_names": list(names),
        **{
            f"macro_{key}": _mean([row[key] for row in per_label.values()])
            for key in pairs
        },
        "macro_average_precision_interval": macro_interval(
            targets, probabilities, seed=seed
        ),
        **{f"micro_{key}": value for key, value in pairs.items()},
        "exact_match": float(np.mean(np.all(given == targets, axis=1))),
        "hamming_loss": float(np.mean(given != targets)),
        "log_loss": log_loss(targets, probabilities),
        "per_label": per_label,
    }


def log_loss(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the mean of -ln(probability of what is true) over all pairs.

    Probabilities are clipped at 1.2e-7 (what float32 cannot tell from 0).

    Args:
        targets: [n, labels] of 0 and 1.
        probabilities: [n, labels] in 0..1.
    """
    true = np.where(targets, probabilities, 1 - probabilities)
    return float(np.mean(-np.log(np.clip(true, _SMALLEST, 1.0))))


def average_precision(targets: np.ndarray, scores: np.ndarray) -> float | None:
    """Sums the precision at each recall, without interpolation.

    Args:
        targets: [n] booleans.
        scores: [n], higher where the label is likelier; equal scores enter
            together.

    Returns:
        Value in 0..1; None where no target is true.

    Source: Manning et al. 2008, "Introduction to Information Retrieval",
    section 8.4; ties as in scikit-learn's `average_precision_score`.
    """
    if not targets.any():
        return None
    once = np.ones([1, len(targets)])
    return float(_weighed(_ranked(targets, scores), once)[0])


def roc_auc(targets: np.ndarray, scores: np.ndarray) -> float | None:
    """Returns how often a true one has a higher score than a false one.

    Args:
        targets: [n] booleans.
        scores: [n]; equal scores count half.

    Returns:
        Value in 0..1; None where all targets are true or all are false.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a
    receiver operating characteristic (ROC) curve".
    """
    true = int(np.sum(targets))
    false = len(targets) - true
    if not true or not false:
        return None
    ranks = stats.rankdata(scores)[targets].sum()
    return float((ranks - true * (true + 1) / 2) / (true * false))


def macro_interval(
    targets: np.ndarray, scores: np.ndarray, *, seed: int
) -> list[float] | None:
    """Returns the 95 % interval [low, high] of macro average precision.

    The bias-corrected bootstrap over pictures, 2000 draws (of more than
    100,000 pairs of picture and label fewer, down to 200). A draw repeats
    pictures, which makes average precision higher: of scores like those of
    posters the plain percentiles held the truth in 72, 81 and 90 of 100 samples
    of 100, 200 and 500 pictures, the corrected ones in 88, 91 and 95. A label
    that no picture of a draw carries does not enter the mean of that draw.

    Args:
        targets: [n, labels] booleans.
        scores: [n, labels].
        seed: Of the draws.

    Returns:
        The bounds, equal where every draw is ranked perfectly; None where no
        picture carries a label.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap",
    section 14.3, with an acceleration of 0.
    """
    supported = np.flatnonzero(targets.any(axis=0))
    if not len(supported):
        return None
    rankings = [_ranked(targets[:, i], scores[:, i]) for i in supported]
    count = len(targets)
    draws = int(np.clip(_CELLS / targets.size, _FEWEST_DRAWS, _DRAWS))
    generator = np.random.default_rng(seed)
    found = []
    for start in range(0, draws, block := max(int(_HELD / count), 1)):
        weights = generator.multinomial(
            count, np.full(count, 1 / count), size=min(block, draws - start)
        )
        found.append(_macro(rankings, weights))
    whole = _macro(rankings, np.ones([1, count]))[0]
    return _corrected(np.concatenate(found), whole)


def _macro(rankings: Sequence["_Ranking"], weights: np.ndarray) -> np.ndarray:
    """Returns macro average precision of each draw [draws, n], NaN if none."""
    each = np.stack([_weighed(ranking, weights) for ranking in rankings])
    known = ~np.isnan(each)
    return np.where(known, each, 0).sum(axis=0) / np.where(
        known.any(axis=0), known.sum(axis=0), np.nan
    )


def _corrected(draws: np.ndarray, whole: float) -> list[float]:
    """Returns the percentiles of draws that are 95 % once bias is taken off."""
    draws = draws[~np.isnan(draws)]
    below = np.mean(draws < whole) + np.mean(draws == whole) / 2
    least = 0.5 / len(draws)
    bias = stats.norm.ppf(np.clip(below, least, 1 - least))
    shares = stats.norm.cdf(2 * bias + stats.norm.ppf([0.025, 0.975]))
    low, high = np.quantile(draws, shares)
    return [float(low), float(high)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Ranking:
    """Examples by score.

    Attributes:
        order: [n] indices, the highest score first.
        true: [n] booleans in that order.
        ends: Where each run of equal scores ends, in that order.
    """

    order: np.ndarray
    true: np.ndarray
    ends: np.ndarray


def _ranked(targets: np.ndarray, scores: np.ndarray) -> _Ranking:
    order = np.argsort(-scores, kind="stable")
    changes = np.flatnonzero(np.diff(scores[order]))
    return _Ranking(
        order=order,
        true=targets[order],
        ends=np.append(changes, len(order) - 1),
    )


def _weighed(ranking: _Ranking, weights: np.ndarray) -> np.ndarray:
    """Returns the average precision of each draw.

    Args:
        ranking: Of n examples.
        weights: [draws, n], how often each example is in the draw.

    Returns:
        [draws]; NaN where no true example is in the draw.
    """
    weights = weights[:, ranking.order].astype("float64")
    ranked = np.cumsum(weights, axis=1)[:, ranking.ends]
    found = np.cumsum(weights * ranking.true, axis=1)[:, ranking.ends]
    gains = np.diff(found, axis=1, prepend=0.0)
    total = np.sum(gains * found / np.maximum(ranked, 1.0), axis=1)
    every = found[:, -1]
    return np.where(every > 0, total / np.maximum(every, 1.0), np.nan)


def _of_label(
    targets: np.ndarray, scores: np.ndarray, given: np.ndarray
) -> dict[str, Any]:
    hits = int(np.sum(targets & given))
    support, answered = int(np.sum(targets)), int(np.sum(given))
    known = support > 0
    return {
        "average_precision": average_precision(targets, scores),
        "roc_auc": roc_auc(targets, scores),
        "precision": hits / max(answered, 1) if known else None,
        "recall": hits / support if known else None,
        "f1": 2 * hits / (support + answered) if known else None,
        "support": support,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _check(
    targets: np.ndarray, probabilities: np.ndarray, names: Sequence[str]
) -> None:
    if len(targets) == 0:
        raise errors.DataError(
            "There is no picture to evaluate on; a split needs one at least."
        )
    expected = (len(targets), len(names))
    if targets.shape != expected or probabilities.shape != expected:
        raise ValueError(
            f"Targets and probabilities must be [examples, labels] = "
            f"{expected}, got {targets.shape} and {probabilities.shape}."
        )
    bad = int(np.sum(~np.isfinite(probabilities).all(axis=1)))
    if bad:
        raise errors.RunError(
            f"The model gives no finite probabilities for {bad} of "
            f"{len(targets)} pictures: training diverged. Try a lower "
            "--learning_rate."
        )
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError(
            "Probabilities must be in 0..1, got "
            f"{probabilities.min():.3g}..{probabilities.max():.3g}; are these "
            "logits?"
        )
