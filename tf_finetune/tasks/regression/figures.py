"""Metrics of a regression, and how they rank, print and plot."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune import schema
from tf_finetune.data import examples
from tf_finetune.evaluation import choices
from tf_finetune.evaluation import names as shown_names
from tf_finetune.tasks import judging
from tf_finetune.tasks.regression import labels, metrics

_SPLIT_WIDTH = 22  # Characters of the first column of a printed table.
_DRAWN = 1000  # Points of a scatter plot, at most.
_YARDSTICKS = {
    "training_mean": "training mean",
    "training_median": "training median",
    "probe": "head-only probe",
    "single_pictures": "pictures one by one",
    "pictures": "pictures of a row",
    "columns": "columns",
    "stack": "stack of both",
    "network": "mean over pictures",
}


@dataclasses.dataclass(frozen=True)
class Figures:
    """Ranks by R², that of the logarithm where the model predicts it.

    Attributes:
        logged: For each target, whether its logarithm is the training target;
            empty: of none.
    """

    logged: tuple[bool, ...] = ()

    higher_is_better = ("r2", "log_r2")
    lower_is_better = ("mae", "rmse", "mape", "median_absolute_error")
    unbounded = lower_is_better

    def rank(self, epoch: Mapping[str, float]) -> tuple[float, ...]:
        """Ranks by validation loss, on transformed targets."""
        return (-epoch["val_loss"],)

    def merit(self, figures: Mapping[str, Any]) -> tuple[float, ...]:
        """Orders results by the figure that `judged_by` names, else by R².

        First to four digits, so that differences by rounding decide only
        between results that are otherwise equal.
        """
        value = figures.get(figures.get("judged_by", "r2"))
        value = -math.inf if value is None else value
        return (round(value, 4), value)

    def brief(self, figures: Mapping[str, Any]) -> str:
        """Formats R² and the mean absolute error."""
        found = [f"{_r2_name(figures)} {_number(figures[_key(figures)])}"]
        if figures.get("mae") is not None:
            found.append(f"(mean absolute error {figures['mae']:.4g})")
        return " ".join(found)

    def compared(
        self, figures: Mapping[str, Any], other: Mapping[str, Any]
    ) -> str:
        """Describes the confidence interval of R²."""
        interval = figures.get(f"{_key(figures)}_interval")
        if interval is None:
            return ""
        low, high = interval
        return f"its 95 % interval is {low:.4f} to {high:.4f}"

    def summary(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the figures of all targets together."""
        found = metrics.summary(figures)
        if "judged_by" in figures:
            found["judged_by"] = figures["judged_by"]
        return found

    def judge(
        self, data: examples.ImageData, split: str, *, seed: int
    ) -> judging.Collected:
        """Returns an accumulator that computes the figures of every target."""
        targets = labels.array(data.split(split))
        return judging.Collected(
            lambda predictions: self.of(
                targets[: len(predictions)],
                predictions,
                data.class_names,
                seed=seed,
            ),
            lambda predictions: self.evidence(targets, predictions),
        )

    def evidence(
        self, targets: np.ndarray, predictions: np.ndarray
    ) -> choices.Evidence:
        """Returns per-example results to compare two models by."""
        # One scale for all targets: their mean R² is compared.
        logged = bool(self.logged) and all(self.logged)
        return metrics.evidence(
            targets,
            predictions,
            logged=logged and bool(np.all(targets > 0)),
        )

    def of(
        self,
        targets: np.ndarray,
        predictions: np.ndarray,
        names: Sequence[str],
        *,
        seed: int,
    ) -> dict[str, Any]:
        """Computes the figures, and `points` of some examples for `draw`."""
        found = metrics.regression(targets, predictions, names=names, seed=seed)
        # Not defined if a target or a prediction is not above 0.
        defined = found["log_r2"] is not None
        logged = defined and bool(self.logged) and all(self.logged)
        return {
            **found,
            "judged_by": "log_r2" if logged else "r2",
            "points": _points(targets, predictions),
        }

    def trivial(
        self,
        described: Mapping[str, Any],
        data: examples.ImageData,
        split: str,
    ) -> dict[str, Any]:
        """Computes the baselines that always answer training mean or median."""
        targets = labels.array(data.split(split))
        return self.constants(described, targets, data.class_names)

    def constants(
        self,
        described: Mapping[str, Any],
        targets: np.ndarray,
        names: Sequence[str],
    ) -> dict[str, Any]:
        """Computes the baselines for an array of targets, [n, targets]."""
        training = described["targets"]["train"]
        return {
            f"training_{which}": metrics.constant(
                targets,
                [training[name][which] for name in names],
                names=names,
                seed=0,
            )
            for which in ("mean", "median")
        }

    def text(self, figures: Mapping[str, Any]) -> str:
        """Formats every split with its baselines, then single targets."""
        splits = {k: v for k, v in figures.items() if _is_result(v)}
        lines = [
            f"{'':{_SPLIT_WIDTH}}examples     R²    95 % interval"
            " log R²       MAE   MAPE"
        ]
        for split, result in splits.items():
            lines.append(_row(split, result, result["examples"]))
            for key, other in result.get("yardsticks", {}).items():
                name = f"  {_YARDSTICKS.get(key, key)}"
                lines.append(_row(name, other, ""))
        last = list(splits)[-1] if splits else None
        if last and len(splits[last]["per_target"]) > 1:
            lines += ["", f"targets, on {last}:"]
            for name, each in splits[last]["per_target"].items():
                lines.append(_row(f"  {name}", each, ""))
        if "fusion" in figures:
            lines += ["", *_contributions(figures["fusion"])]
        return "\n".join(lines)

    def draw(
        self,
        figures: Mapping[str, Any],
        names: Sequence[str],
        folder: pathlib.Path,
        split: str,
    ) -> None:
        """Draws predicted against true values."""
        # Takes a while to load, and not every command draws.
        from tf_finetune.tasks.regression import drawing

        drawing.scatter(
            np.array(figures["points"]["true"]),
            np.array(figures["points"]["predicted"]),
            names,
            folder / f"scatter_{split}.png",
        )


def of_run(evaluation: Mapping[str, Any]) -> Figures:
    """Returns figures that rank by the same R² as a finished run.

    Args:
        evaluation: Contents of its evaluation.json.
    """
    splits = [each for each in evaluation.values() if _is_result(each)]
    # The logarithm is predicted only if all splits allow it: one is enough.
    is_logged = any(_key(each) == "log_r2" for each in splits)
    count = max((len(each["per_target"]) for each in splits), default=0)
    return Figures(logged=(is_logged,) * count)


def describe(names: Sequence[str]) -> schema.Record:
    """Returns the schema of the target statistics that data.json holds."""
    middle = {"mean": schema.Number(), "median": schema.Number()}
    targets = schema.Record(dict.fromkeys(names, schema.Record(middle)))
    return schema.Record({"targets": schema.Record({"train": targets})})


def _points(
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


def _contributions(fusion: Mapping[str, Any]) -> list[str]:
    """Formats the selected fusion and the weight and R² of each part."""
    lines = [
        f"fusion: {fusion['kept']} kept, the best on validation; weight of "
        "each part,",
        "and its R² alone (of the logarithm where that is predicted):",
    ]
    for name, each in fusion["parts"].items():
        weights = ", ".join(f"{weight:.2f}" for weight in each["weights"])
        alone = ", ".join(f"{s} {v:.3f}" for s, v in each["alone"].items())
        lines.append(
            f"  {shown_names.padded(name, 15)} weight {weights}; alone {alone}"
        )
    if left_out := len(fusion["left_out"]):
        lines.append(f"  {left_out} rows without all their pictures left out")
    return lines


def _is_result(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    return isinstance(value.get("per_target"), Mapping)


def _key(figures: Mapping[str, Any]) -> str:
    return figures.get("judged_by", "r2")


def _r2_name(figures: Mapping[str, Any]) -> str:
    return "R² of the logarithm" if _key(figures) == "log_r2" else "R²"


def _row(name: str, result: Mapping[str, Any], count: int | str) -> str:
    interval = result.get("r2_interval")
    between = ""
    if interval is not None:
        between = f"{_number(interval[0])} to {_number(interval[1])}"
    mape = result.get("mape")
    return (
        f"{shown_names.padded(name, _SPLIT_WIDTH)}"
        f"{count:>8}"
        f"{_number(result.get('r2')):>7}"
        f"{between:>17}"
        f"{_number(result.get('log_r2')):>7}"
        f" {_short(result.get('mae')):>9}"
        f"{'' if mape is None else f'{mape:.0%}':>7}"
    ).rstrip()


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.3g}"


def _short(value: float | None) -> str:
    """Formats a number by four digits, without an exponent up to 1e7."""
    if value is None:
        return ""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"
