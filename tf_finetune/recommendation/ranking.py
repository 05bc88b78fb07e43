"""Ranks candidates by successive halving on the training pictures."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors
from tf_finetune.config import recommend_config
from tf_finetune.data import examples
from tf_finetune.recommendation import (
    candidates,
    feature_scores,
    halving,
    network_costs,
    network_measuring,
    picture_choice,
)
from tf_finetune.runs import time_budget

# Seconds that decoding adds to each picture, roughly; a plan needs no better.
_DECODE_SECONDS = 0.005


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """Candidate in a ranking with everything that was measured of it.

    Attributes:
        candidate: Backbone and weights.
        size: Parameters and multiply-adds of its network.
        latency: Milliseconds on this device; None where it was not measured.
        rungs: Scores at each rung (number of pictures per class) it reached.
        dropped_at: Reason for its exclusion, e.g. "--max_ms" or "5 pictures a
            class"; None: it was compared to the end.
        fine_tuned: Validation accuracy, accuracy_interval and log_loss, seconds
            and workdir of its fine-tuned run; None: not fine-tuned.
    """

    candidate: candidates.Candidate
    size: network_costs.NetworkSize
    latency: network_costs.NetworkLatency | None = None
    rungs: tuple[feature_scores.FeatureScores, ...] = ()
    dropped_at: str | None = None
    fine_tuned: Mapping[str, Any] | None = None

    @property
    def compared_probe(self) -> feature_scores.ProbeFigures | None:
        """The first probe's figures, on the same pictures for all, or None."""
        return next((each.probe for each in self.rungs if each.probe), None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ranking:
    """Candidates sorted from the best to those that were left out first.

    Attributes:
        rows: All candidates, the best first.
        pictures_per_class: Pictures per class of the last comparison, at most.
    """

    rows: tuple[Row, ...]
    pictures_per_class: int


def rank_candidates(
    config: recommend_config.RecommendConfig,
    found: Sequence[candidates.Candidate],
    pictures: Sequence[examples.Picture],
    measuring: network_measuring.NetworkMeasuring,
    budget: time_budget.TimeBudget,
) -> Ranking:
    """Measures candidates and ranks them by successive halving.

    Args:
        config: Options of the command.
        found: Candidates to compare.
        pictures: All pictures of the training split.
        measuring: Measures networks; closes those that are left out.
        budget: Time left; candidates that exceed it are left out.

    Returns:
        Every candidate, those left out with the reason in `dropped_at`.

    Raises:
        UsageError: No candidate is as small or fast as asked for.
        DataError: The pictures of a class cannot be decoded.
    """
    rows = _measure_costs(config, found, measuring)
    alive = [row for row in rows if row.dropped_at is None]
    out = [row for row in rows if row.dropped_at is not None]
    if not alive:
        raise errors.UsageError(_format_none_left(rows))
    ordered = picture_choice.order_pictures(pictures, seed=config.seed)
    rungs = halving.plan_rungs(len(alive), _find_last(config, ordered, alive))
    for rung in rungs:
        chosen = _choose_decodable(ordered, rung, measuring)
        is_last = rung == rungs[-1]
        alive, left = _run_rung(alive, chosen, rung, is_last, measuring, budget)
        out = [*left, *out]
        if not alive:
            break
    return Ranking(rows=(*alive, *out), pictures_per_class=rungs[-1])


def _run_rung(
    alive: Sequence[Row],
    chosen: Sequence[examples.Picture],
    rung: int,
    is_last: bool,
    measuring: network_measuring.NetworkMeasuring,
    budget: time_budget.TimeBudget,
) -> tuple[list[Row], list[Row]]:
    """Scores the candidates of a rung; returns survivors and the rest."""
    scored, skipped = _score_rows(
        alive,
        chosen,
        rung,
        rung >= halving.PROBE_FROM or is_last,
        measuring,
        budget,
    )
    scored = sort_rows(scored)
    keep = len(scored) if is_last else halving.count_survivors(len(scored))
    left = [
        dataclasses.replace(row, dropped_at=f"{rung} pictures a class")
        for row in scored[keep:]
    ]
    for row in [*left, *skipped]:
        measuring.close(row.candidate)
    return scored[:keep], [*left, *sort_rows(skipped)]


def sort_rows(rows: Sequence[Row]) -> list[Row]:
    """Returns rows of one rung sorted by mean rank, the best first.

    Ranked by LogME, the probe's log loss (from 20 pictures per class) and the
    published ImageNet accuracy, each only where all rows have it; LogME breaks
    ties. Rows without scores come last.
    """
    scored = [row for row in rows if row.rungs]
    if not scored:
        return list(rows)
    ranks = halving.compute_mean_ranks(
        {
            "logme": [row.rungs[-1].logme for row in scored],
            "probe": [_rate_probe(row.rungs[-1]) for row in scored],
            "imagenet": [row.candidate.prior for row in scored],
        }
    )
    order = sorted(
        range(len(scored)), key=lambda i: (ranks[i], -scored[i].rungs[-1].logme)
    )
    return [*(scored[i] for i in order), *(r for r in rows if not r.rungs)]


def _rate_probe(scores: feature_scores.FeatureScores) -> float | None:
    if not scores.probe or scores.pictures_per_class < halving.PROBE_FROM:
        return None
    return -scores.probe.log_loss


def _measure_costs(
    config: recommend_config.RecommendConfig,
    found: Sequence[candidates.Candidate],
    measuring: network_measuring.NetworkMeasuring,
) -> list[Row]:
    """Returns a row for each candidate; some are left out for their costs."""
    sizes = measuring.measure_sizes(found)
    too_large = [
        each
        for each in found
        if config.max_mb and sizes[each].megabytes_float32 > config.max_mb
    ]
    latencies = measuring.measure_latencies(
        [each for each in found if each not in too_large]
    )
    rows = []
    for each in found:
        latency, dropped = latencies.get(each), None
        if each in too_large:
            dropped = "--max_mb"
        elif config.max_ms and not (
            latency and latency.batch_1 <= config.max_ms
        ):
            dropped = "--max_ms"
        if dropped:
            measuring.close(each)
        rows.append(
            Row(
                candidate=each,
                size=sizes[each],
                latency=latency,
                dropped_at=dropped,
            )
        )
    return rows


def _find_last(
    config: recommend_config.RecommendConfig,
    ordered: Sequence[examples.Picture],
    alive: Sequence[Row],
) -> int:
    """Returns the pictures per class of the last rung."""
    largest = picture_choice.count_largest(ordered)
    wanted = min(config.pictures_per_class or largest, largest)
    limit = feature_scores.find_limit(
        max(row.size.width for row in alive),
        len({each.label for each in ordered}),
        wanted,
    )
    if limit < wanted:
        logging.info(
            "The last candidates are compared on %d of %d pictures a class: "
            "more would take the probe more than a minute.",
            limit,
            wanted,
        )
    return limit


def _choose_decodable(
    ordered: Sequence[examples.Picture],
    rung: int,
    measuring: network_measuring.NetworkMeasuring,
) -> list[examples.Picture]:
    """Returns the pictures of a rung that can be decoded, of every class."""
    chosen = picture_choice.choose_pictures(ordered, rung)
    problems = measuring.find_undecodable(chosen)
    kept = [each for each in chosen if each.path not in problems]
    lost = {each.label for each in chosen} - {each.label for each in kept}
    if lost:
        path, reason = next(iter(problems.items()))
        raise errors.DataError(
            f"No picture of {', '.join(sorted(map(str, lost)))} can be "
            f"decoded, e.g. {path}: {reason}. Replace these files."
        )
    if problems:
        path, reason = next(iter(problems.items()))
        logging.warning(
            "Left out %d of %d pictures, e.g. %s: %s.",
            len(problems),
            len(chosen),
            path,
            reason,
        )
    return kept


def _score_rows(
    rows: Sequence[Row],
    chosen: Sequence[examples.Picture],
    rung: int,
    with_probe: bool,
    measuring: network_measuring.NetworkMeasuring,
    budget: time_budget.TimeBudget,
) -> tuple[list[Row], list[Row]]:
    """Adds the scores of a rung; returns rows with and without them."""
    scored, skipped = [], []
    # The fastest first, so that a budget holds as many as possible.
    for row in sorted(rows, key=lambda r: estimate_seconds(r, 1)):
        is_known = measuring.is_known(
            row.candidate, chosen, with_probe=with_probe
        )
        needs = 0.0 if is_known else estimate_seconds(row, len(chosen))
        if not budget.allows(
            f"{row.candidate.label} on {len(chosen)} pictures", needs
        ):
            skipped.append(dataclasses.replace(row, dropped_at="--time_budget"))
            continue
        scores = measuring.measure_scores(
            row.candidate,
            chosen,
            pictures_per_class=rung,
            with_probe=with_probe,
        )
        scored.append(dataclasses.replace(row, rungs=(*row.rungs, scores)))
    return scored, skipped


def estimate_seconds(row: Row, pictures: int) -> float:
    """Estimates the seconds to decode `pictures` and compute features."""
    # Where the latency could not be measured, a large network is assumed.
    milliseconds = row.latency.batch_32 / 32 if row.latency else 100.0
    return pictures * (milliseconds / 1000 + _DECODE_SECONDS)


def _format_none_left(rows: Sequence[Row]) -> str:
    """Returns the message that no candidate satisfies the limits."""
    smallest = min(row.size.megabytes_float32 for row in rows)
    fastest = [row.latency.batch_1 for row in rows if row.latency]
    measured = f"the smallest has {smallest:.1f} MB"
    if fastest:
        measured += f", the fastest takes {min(fastest):.1f} ms"
    return (
        f"No candidate is within --max_mb and --max_ms: {measured}. Raise the "
        "limit, or add smaller networks to --backbones."
    )
