"""Options of tune."""

import dataclasses
from typing import Literal

from tf_finetune import errors
from tf_finetune.config import (
    durations,
    option_types,
    options,
    search_space,
    train_config,
)

Pruner = Literal["median", "hyperband", "none"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """All options of `python -m tf_finetune.tune`: the study's and a run's.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    study: str = options.option(
        "",
        "Folder of the study; one that holds trials of the same settings is "
        "continued. Processes that share it work on one study.",
    )
    trials: int = options.option(
        40,
        "Trials of the study, those made before and the baseline included.",
    )
    time_budget: str | None = options.option(
        None,
        "Time for this command, such as 20m or 2h; a trial that is unfinished "
        "then stops, and the same command resumes it. None: no limit.",
    )
    search: tuple[str, ...] = options.option(
        search_space.DEFAULT_ENTRIES,
        "Options that trials vary, with commas: OPTION:LOW..HIGH (numbers), "
        "OPTION:log:LOW..HIGH (their logarithm is drawn evenly), OPTION:A|B|C.",
    )
    metric: str | None = options.option(
        None,
        "Metric on validation that trials are compared by, a key of "
        "evaluation.json such as log_loss; none: the task's leading one, ties "
        "by the next.",
    )
    pruner: Pruner = options.option(
        "median",
        "Which trials stop early: median, those below the median of earlier "
        "ones at the same epoch; hyperband (Li et al. 2018); none.",
    )
    storage: str | None = options.option(
        None,
        "Database of the trials, a URL such as mysql://… or postgresql://…, or "
        "grpc://HOST:PORT of an Optuna proxy; none: a journal file in --study. "
        "The folder --study must be shared in any case.",
    )
    run: train_config.TrainConfig = options.group(train_config.TrainConfig, "")

    def __post_init__(self) -> None:
        option_types.require_value(
            self, "study", "the folder of the study, such as runs/study."
        )
        option_types.require_range(self, "trials", at_least=2)
        durations.parse_duration("time_budget", self.time_budget)
        search_space.parse_search(self.search)
        if self.storage is None:
            return
        if self.storage.startswith("sqlite"):
            raise errors.UsageError(
                "--storage=sqlite… loses trials when several processes write. "
                "Leave --storage out for a journal file in --study, or name a "
                "database server."
            )
        if "://" not in self.storage:
            raise errors.UsageError(
                f"--storage={self.storage} is no URL. Give one such as "
                "postgresql://USER@HOST/NAME or grpc://HOST:PORT, or leave it "
                "out for a journal file in --study."
            )

    @property
    def budget_seconds(self) -> float | None:
        """Seconds of `time_budget`; None without a limit."""
        return durations.parse_duration("time_budget", self.time_budget)

    @property
    def dimensions(self) -> tuple[search_space.Dimension, ...]:
        """The options of `search`, with their possible values."""
        return search_space.parse_search(self.search)
