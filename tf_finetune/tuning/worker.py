"""A worker: one process that works on a study, and its parts."""

import dataclasses
import math
import time
from typing import TYPE_CHECKING

from tf_finetune.config import train_config, tune_config
from tf_finetune.tuning import child_processes, study_folder
from tf_finetune.tuning import objective as objectives

if TYPE_CHECKING:
    import optuna


@dataclasses.dataclass(frozen=True, kw_only=True)
class Worker:
    """The parts that one process needs to work on a study.

    Attributes:
        config: All options of the command.
        base: Config of the base run.
        folder: Files of the study.
        study: The study of that folder, as Optuna has opened it.
        objective: The metric of the study.
        start: Starts a command in a child process.
        deadline: Value of `time.monotonic` after which no trial goes on.
    """

    config: tune_config.TuneConfig
    base: train_config.TrainConfig
    folder: study_folder.StudyFolder
    study: "optuna.Study"
    objective: objectives.Objective
    start: child_processes.Start = child_processes.start_command
    deadline: float = math.inf

    @property
    def is_late(self) -> bool:
        """Whether the time budget is spent."""
        return time.monotonic() > self.deadline
