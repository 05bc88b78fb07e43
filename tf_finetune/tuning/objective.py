"""The number by which trials are compared: a metric on validation."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

from tf_finetune.config import train_config
from tf_finetune.tasks import catalog as tasks
from tf_finetune.tasks import contracts

# Some tasks rank by a metric that is rounded to four digits.
_ROUNDED = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """The metric of a study, read from validation results alone.

    Attributes:
        metric: Name of a metric; None: the task's leading one.
        figures: Metrics of the task.
    """

    metric: str | None
    figures: contracts.Figures

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Better direction of the metric: "minimize" for losses and errors."""
        is_loss = self.metric in self.figures.lower_is_better
        return "minimize" if is_loss else "maximize"

    def name_metric(self, validation: Mapping[str, Any]) -> str:
        """Returns the name of the metric that trials are compared by.

        Args:
            validation: Metrics of a run on the validation split. They are read
                without `--metric` only: a task gives the value that it ranks
                by, and the first metric with this value is named.

        Returns:
            Such as "accuracy"; "leading metric" if none has the value.
        """
        if self.metric is not None:
            return self.metric
        leading = self.figures.merit(validation)[0]
        for name, value in self.figures.summary(validation).items():
            # Tasks rank by a figure of the summary: it is found by its value.
            is_number = isinstance(value, (int, float))
            if is_number and math.isclose(value, leading, abs_tol=_ROUNDED):
                return name
        return "leading metric"

    def read_value(self, validation: Mapping[str, Any]) -> float:
        """Returns the metric of a run; NaN where it is undefined.

        Args:
            validation: Metrics of the run on the validation split.
        """
        if self.metric is None:
            value = self.figures.merit(validation)[0]
        else:
            value = validation.get(self.metric)
        is_number = isinstance(value, (int, float)) and math.isfinite(value)
        return float(value) if is_number else math.nan

    def rank_epoch(self, row: Mapping[str, float]) -> float:
        """Returns an epoch's value for pruning, negated if less is better.

        Epochs have fewer metrics than runs: pruning compares the metric by
        which a run selects its best epoch, higher is better.

        Args:
            row: Metrics of an epoch, those on validation with "val_".
        """
        value = self.figures.rank_epoch(row)[0]
        return -value if self.direction == "minimize" else value

    def sort_key(
        self, value: float, merit: tuple[float, ...]
    ) -> tuple[float, ...]:
        """Returns the key by which runs are compared; greater is better.

        Args:
            value: The metric, as `read_value` returns it.
            merit: The task's sort key of the run's validation metrics, which
                decides between equal values.
        """
        return (-value if self.direction == "minimize" else value, *merit)


def make_objective(
    metric: str | None, base: train_config.TrainConfig
) -> Objective:
    """Builds the objective of a study: the metric that its trials improve.

    Args:
        metric: The value of `--metric`, already checked; None: the metric that
            the task ranks runs by.
        base: Config of the base run, which names the task.
    """
    return Objective(
        metric=metric, figures=tasks.TASKS.get(base.model.task).figures
    )
