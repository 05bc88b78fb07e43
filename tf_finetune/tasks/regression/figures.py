"""Metrics of a regression, and how they rank, print and plot."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune import terminal_escapes
from tf_finetune.data import examples
from tf_finetune.metrics import (
    candidate_selection,
    evaluators,
    regression_metrics,
)
from tf_finetune.tasks import result_table
from tf_finetune.tasks.regression import labels
from tf_finetune.workdir import json_schema

_DRAWN = 1000  # Points of a scatter plot, at most.
_SPLIT_WIDTH = 22  # Characters of the first column of a printed table.
_BASELINE_NAMES = {
    "training_mean": "training mean",
    "training_median": "training median",
}


@dataclasses.dataclass(frozen=True)
class Figures:
    """Metrics of a regression; ranks by R², or R² of the logarithm.

    Attributes:
        logged: For each target, whether its logarithm is the training target;
            empty: none. The logarithm ranks if all targets are logged.
    """

    logged: tuple[bool, ...] = ()

    higher_is_better = ("r2", "log_r2")
    lower_is_better = ("mae", "rmse", "mape", "median_absolute_error")
    unbounded = lower_is_better

    def rank_epoch(self, epoch: Mapping[str, float]) -> tuple[float, ...]:
        """Returns the key (-val_loss,) of an epoch's logs."""
        return (-epoch["val_loss"],)

    def merit(self, figures: Mapping[str, Any]) -> tuple[float, ...]:
        """Returns the sort key (rounded value, value) of a split's metrics.

        The value is that of R², or of `judged_by`; an undefined one is last.
        """
        value = figures.get(figures.get("judged_by", "r2"))
        # An undefined R² ranks behind every defined one.
        value = -math.inf if value is None else value
        return (round(value, 4), value)

    def format_brief(self, figures: Mapping[str, Any]) -> str:
        """Formats R² and the mean absolute error in a few words."""
        found = [
            f"{_name_r2(figures)} {_format_r2(figures[_find_r2_key(figures)])}"
        ]
        if figures.get("mae") is not None:
            found.append(f"(mean absolute error {figures['mae']:.4g})")
        return " ".join(found)

    def describe_difference(
        self, figures: Mapping[str, Any], other: Mapping[str, Any]
    ) -> str:
        """Formats the interval of R² in `figures`, if any; ignores `other`."""
        interval = figures.get(f"{_find_r2_key(figures)}_interval")
        if interval is None:
            return ""
        low, high = interval
        return f"its 95 % interval is {low:.4f} to {high:.4f}"

    def summary(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Selects R², errors, intervals over all targets, and `judged_by`."""
        found = regression_metrics.select_summary(figures)
        if "judged_by" in figures:
            found["judged_by"] = figures["judged_by"]
        return found

    def create_evaluator(
        self, data: examples.ImageData, split: str, *, seed: int
    ) -> evaluators.CollectedPredictions:
        """Creates an accumulator of [batch, targets] predicted values.

        Pictures that are not added do not count; `seed` is the bootstrap's.
        """
        targets = labels.stack_targets(data.split(split))
        return evaluators.CollectedPredictions(
            lambda predictions: self.compute_figures(
                targets[: len(predictions)],
                predictions,
                data.class_names,
                seed=seed,
            ),
            lambda predictions: self.evidence(targets, predictions),
        )

    def evidence(
        self, targets: np.ndarray, predictions: np.ndarray
    ) -> candidate_selection.Evidence:
        """Builds results of [n, targets] values, to compare two models."""
        # One scale for all targets: their mean R² is compared.
        logged = bool(self.logged) and all(self.logged)
        return regression_metrics.build_evidence(
            targets,
            predictions,
            logged=logged and bool(np.all(targets > 0)),
        )

    def compute_figures(
        self,
        targets: np.ndarray,
        predictions: np.ndarray,
        names: Sequence[str],
        *,
        seed: int,
    ) -> dict[str, Any]:
        """Computes all metrics of [n, targets] values, for evaluation.json.

        Beside `regression_metrics.compute_metrics`: `judged_by`, the figure
        that ranks, and `points`, some examples for `draw`.
        """
        found = regression_metrics.compute_metrics(
            targets, predictions, names=names, seed=seed
        )
        # Not defined if a target or a prediction is not above 0.
        defined = found["log_r2"] is not None
        logged = defined and bool(self.logged) and all(self.logged)
        return {
            **found,
            "judged_by": "log_r2" if logged else "r2",
            "points": _sample_points(targets, predictions),
        }

    def compute_baselines(
        self,
        described: Mapping[str, Any],
        data: examples.ImageData,
        split: str,
    ) -> dict[str, Any]:
        """Returns `training_mean`, `training_median` → metrics on a split."""
        targets = labels.stack_targets(data.split(split))
        return self.compute_constant_baselines(
            described, targets, data.class_names
        )

    def compute_constant_baselines(
        self,
        described: Mapping[str, Any],
        targets: np.ndarray,
        names: Sequence[str],
    ) -> dict[str, Any]:
        """Computes metrics on `targets` [n, targets] of constant predictions.

        `training_mean` and `training_median` → metrics; `described`: data.json.
        """
        training = described["targets"]["train"]
        return {
            f"training_{which}": regression_metrics.compute_constant_baseline(
                targets,
                [training[name][which] for name in names],
                names=names,
                seed=0,
            )
            for which in ("mean", "median")
        }

    def text(self, figures: Mapping[str, Any]) -> str:
        """Formats evaluation.json as a table of splits, baselines, targets."""
        return result_table.format_result(
            figures,
            key="per_target",
            baseline_names=_BASELINE_NAMES,
            name_width=_SPLIT_WIDTH,
            format_header=_format_header,
            format_row=_format_row,
            format_outputs=_format_targets,
        )

    def draw(
        self,
        figures: Mapping[str, Any],
        names: Sequence[str],
        folder: pathlib.Path,
        split: str,
    ) -> None:
        """Draws predicted against true values to `folder`/scatter_SPLIT.png."""
        # Takes a while to load, and not every command draws.
        from tf_finetune.drawing import output_plots

        output_plots.draw_scatter(
            np.array(figures["points"]["true"]),
            np.array(figures["points"]["predicted"]),
            names,
            folder / f"scatter_{split}.png",
        )


def restore_figures(evaluation: Mapping[str, Any]) -> Figures:
    """Restores figures that rank by the same R² as a finished run.

    `evaluation` is the content of the run's evaluation.json.
    """
    splits = [each for each in evaluation.values() if _is_result(each)]
    # The logarithm is predicted only if all splits allow it: one is enough.
    is_logged = any(_find_r2_key(each) == "log_r2" for each in splits)
    count = max((len(each["per_target"]) for each in splits), default=0)
    return Figures(logged=(is_logged,) * count)


def build_data_schema(names: Sequence[str]) -> json_schema.Record:
    """Builds the schema of the target statistics in data.json."""
    middle = {"mean": json_schema.Number(), "median": json_schema.Number()}
    targets = json_schema.Record(
        dict.fromkeys(names, json_schema.Record(middle))
    )
    return json_schema.Record(
        {"targets": json_schema.Record({"train": targets})}
    )


def _sample_points(
    targets: np.ndarray, predictions: np.ndarray
) -> dict[str, list[list[float]]]:
    """Returns true and predicted values of examples spread over the split."""
    count = len(targets)
    # Evenly spaced in the order of the split, so that every run draws the same.
    chosen = np.linspace(0, count - 1, min(count, _DRAWN)).astype(int)
    return {
        "true": np.asarray(targets, "float64")[chosen].tolist(),
        "predicted": np.asarray(predictions, "float64")[chosen].tolist(),
    }


def _is_result(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    return isinstance(value.get("per_target"), Mapping)


def _find_r2_key(figures: Mapping[str, Any]) -> str:
    return figures.get("judged_by", "r2")


def _name_r2(figures: Mapping[str, Any]) -> str:
    return "R² of the logarithm" if _find_r2_key(figures) == "log_r2" else "R²"


def _format_header(splits: Mapping[str, Any]) -> str:
    del splits
    return (
        f"{'':{_SPLIT_WIDTH}}examples     R²    95 % interval"
        " log R²       MAE   MAPE"
    )


def _format_targets(split: str, result: Mapping[str, Any]) -> str:
    """Formats the figures of each target, where there are several."""
    rows = [
        _format_row(f"  {name}", each)
        for name, each in result["per_target"].items()
    ]
    return "\n".join([f"targets, on {split}:", *rows]) if rows[1:] else ""


def _format_row(name: str, result: Mapping[str, Any]) -> str:
    """Formats the figures of a split, a baseline or a target."""
    between = " to ".join(map(_format_r2, result.get("r2_interval") or ()))
    mape = result.get("mape")
    percent = "" if mape is None else f"{mape:.0%}"
    if len(percent) > 6:
        percent = f"{100 * mape:.0e}%"
    return (
        f"{terminal_escapes.pad_name(name, _SPLIT_WIDTH)}"
        f"{result.get('examples', ''):>8}"
        f"{_format_r2(result.get('r2')):>7}"
        f" {between:>16}"
        f"{_format_r2(result.get('log_r2')):>7}"
        f" {_format_short(result.get('mae')):>9}"
        f" {percent:>6}"
    ).rstrip()


def _format_r2(value: float | None) -> str:
    """Formats R² by up to three decimals, in six columns at most."""
    size = abs(value or 0)
    digits = ".3f" if size < 10 else ".3g" if size < 1000 else ".0e"
    return "" if value is None else f"{value:{digits}}"


def _format_short(value: float | None) -> str:
    """Formats a number by four digits, without an exponent up to 1e7."""
    if value is None:
        return ""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"
