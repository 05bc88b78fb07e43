"""recommend.json: the ranking with all that was measured."""

from typing import Any

from tf_finetune.config import recommend_config
from tf_finetune.recommendation import (
    network_costs,
    pareto_front,
    ranking,
    training_config,
)
from tf_finetune.runs import time_budget

_VERSION = 1


def build_json(
    config: recommend_config.RecommendConfig,
    ranked: ranking.Ranking,
    budget: time_budget.TimeBudget,
    *,
    fingerprint: str,
    device: str,
) -> dict[str, Any]:
    """Builds the content of recommend.json, without writing it.

    Args:
        config: Options of the command.
        ranked: The candidates, the best first.
        budget: Time budget, which lists the steps that it left out.
        fingerprint: Hash of the data's contents, labels and splits.
        device: Device that latencies were measured on.

    Returns:
        A dict with the keys version, data_fingerprint, device,
        pictures_per_class, ranking (a dict for each candidate, the best first),
        pick, command, not_tried.
    """
    front = pareto_front.find_front(ranked.rows)
    best = ranked.rows[0]
    return {
        "version": _VERSION,
        "data_fingerprint": fingerprint,
        "device": device,
        "pictures_per_class": ranked.pictures_per_class,
        "ranking": [
            _build_row(row, is_on_front)
            for row, is_on_front in zip(ranked.rows, front, strict=True)
        ],
        "pick": best.candidate.label,
        "command": training_config.format_command(config, best.candidate),
        "not_tried": [each.to_json() for each in budget.skipped],
    }


def _build_row(row: ranking.Row, is_on_front: bool) -> dict[str, Any]:
    candidate, last = row.candidate, row.rungs[-1] if row.rungs else None
    published = candidate.published
    return {
        "label": candidate.label,
        "backbone": candidate.backbone,
        "weights": candidate.weights,
        "image_size": candidate.image_size,
        "parameters": row.size.parameters,
        # To three decimals of 10⁶ bytes: whole kilobytes.
        "megabytes_float32": round(row.size.megabytes_float32, 3),
        "megabytes_int8": round(row.size.megabytes_int8, 3),
        "multiply_adds": row.size.multiply_adds,
        "imagenet_top_1": published.top_1 if published else None,
        "imagenet_source": published.source if published else None,
        # The figure is that of the published weights, not of any file.
        "imagenet_counts": candidate.prior is not None,
        "scores": {
            "logme": last.logme if last else None,
            "knn": last.knn if last else None,
            "probe_log_loss": last.probe.log_loss
            if last and last.probe
            else None,
        },
        "probe": last.to_json()["probe"] if last else None,
        "rungs": [each.to_json() for each in row.rungs],
        "fine_tuned": row.fine_tuned,
        "milliseconds": _build_latency(row.latency),
        "memory_megabytes": row.latency and row.latency.memory_megabytes,
        "is_on_pareto_front": is_on_front,
        "dropped_at": row.dropped_at,
    }


def _build_latency(
    latency: network_costs.NetworkLatency | None,
) -> dict[str, float] | None:
    if latency is None:
        return None
    return {"batch_1": latency.batch_1, "batch_32": latency.batch_32}
