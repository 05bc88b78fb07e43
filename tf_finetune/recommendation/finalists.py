"""Fine-tunes the finalists of a ranking, as ordinary runs."""

import dataclasses
import hashlib
import pathlib
import re
import time
from collections.abc import Mapping
from typing import Any

from absl import logging

from tf_finetune import workflow
from tf_finetune.config import options, recommend_config, train_config
from tf_finetune.recommendation import (
    halving,
    network_measuring,
    ranking,
    training_config,
)
from tf_finetune.runs import time_budget
from tf_finetune.tasks import catalog as tasks
from tf_finetune.workdir import lifecycle, workdir_files

# Start of a run: building, compiling, evaluation and writing of its results.
_START_SECONDS = 20.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinalistRuns:
    """Facts that the fine-tuned runs of the best two candidates share.

    Attributes:
        config: Options of the command.
        num_pictures: Number of pictures in all splits.
        fingerprint: Hash of the data's contents, labels and splits.
        folder: Folder in which each run gets a workdir.
    """

    config: recommend_config.RecommendConfig
    num_pictures: int
    fingerprint: str
    folder: pathlib.Path


def fine_tune_finalists(
    ranked: ranking.Ranking,
    runs: FinalistRuns,
    measuring: network_measuring.NetworkMeasuring,
    budget: time_budget.TimeBudget,
) -> ranking.Ranking:
    """Fine-tunes the best two candidates as far as the budget allows.

    Args:
        ranked: The candidates, the best first.
        runs: Facts that both runs share.
        measuring: Keeps the figures of each run; a finished run with the same
            config and data is not repeated.
        budget: Time left; without a limit nothing is fine-tuned.

    Returns:
        A new ranking with the figures of the runs in `fine_tuned`; if both were
        made, the better one on validation is first. `ranked` itself where the
        budget has no limit.
    """
    if not budget.is_limited:
        return ranked
    finalists = [row for row in ranked.rows if row.dropped_at is None]
    # Seconds that a run takes per second that it was estimated to take.
    rows, scale = [], 1.0
    for row in finalists[: halving.FINALISTS]:
        config = _make_config(row, runs)
        note = _name_note(config, runs.fingerprint)
        figures = measuring.read_note(row.candidate, note)
        if figures is None or not _is_finished(figures):
            needs = _estimate_seconds(row, config, runs.num_pictures)
            what = f"{row.candidate.label}, fine-tuned"
            if not budget.allows(what, scale * needs):
                rows.append(row)
                continue
            figures = _run(config)
            # The second run is planned with the time of the first.
            scale = figures["seconds"] / needs
            measuring.write_note(row.candidate, note, figures)
        rows.append(dataclasses.replace(row, fine_tuned=figures))
    rows = _sort_fine_tuned(rows, runs.config.task)
    return dataclasses.replace(ranked, rows=(*rows, *ranked.rows[len(rows) :]))


def _make_config(
    row: ranking.Row, runs: FinalistRuns
) -> train_config.TrainConfig:
    workdir = runs.folder / _make_name(row.candidate.label)
    return options.replace(
        training_config.make_config(runs.config, row.candidate),
        workdir=str(workdir.absolute()),
        # Networks are compared with the same settings; trials are for the one
        # that is picked.
        recipe="none",
    )


def _run(config: train_config.TrainConfig) -> dict[str, Any]:
    """Trains and returns the figures on validation."""
    # FOLDER, FOLDER-2, …: a run of other data or options is not overwritten.
    config = lifecycle.number_workdir(config)
    logging.info(
        "Fine-tuning %s in %s.", config.model.backbone, config.output.workdir
    )
    start = time.monotonic()
    run = workflow.train_run(config, report=lambda text: None)
    found = run.evaluation["validation"]
    return {
        "accuracy": found["accuracy"],
        "accuracy_interval": found["accuracy_interval"],
        "log_loss": found["log_loss"],
        "seconds": round(time.monotonic() - start, 1),
        "workdir": str(run.workdir),
    }


def _sort_fine_tuned(
    rows: list[ranking.Row], task_name: str
) -> list[ranking.Row]:
    """Sorts finalists by validation figures if all were fine-tuned."""
    # Accuracy after fine-tuning is not comparable with that of a probe.
    if not all(row.fine_tuned for row in rows):
        return rows
    figures = tasks.TASKS.get(task_name).figures
    return sorted(
        rows, key=lambda row: figures.merit(row.fine_tuned), reverse=True
    )


def _estimate_seconds(
    row: ranking.Row, config: train_config.TrainConfig, num_pictures: int
) -> float:
    """Estimates the seconds of a run at most.

    A forward pass for each view, and for each epoch one more: the layers that
    train take three passes through a part of the network.
    """
    passes = config.training.num_views + config.training.epochs
    return _START_SECONDS + ranking.estimate_seconds(row, num_pictures * passes)


def _is_finished(figures: Mapping[str, Any]) -> bool:
    # The workdir may have been deleted since, or be on another machine.
    place = workdir_files.Workdir(pathlib.Path(figures["workdir"]))
    return place.is_finished


def _name_note(config: train_config.TrainConfig, fingerprint: str) -> str:
    # The workdir is a flag too: with another --output the run is made again.
    text = options.to_flagfile(config)
    return hashlib.sha256(f"{fingerprint}\n{text}".encode()).hexdigest()[:32]


def _make_name(label: str) -> str:
    return re.sub(r"[^\w.@-]+", "-", label).strip("-")
