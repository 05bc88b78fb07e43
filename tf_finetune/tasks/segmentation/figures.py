"""Metrics of masks at the pictures' own resolution, and how they rank."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune import terminal_escapes
from tf_finetune.data import examples
from tf_finetune.metrics import (
    segmentation_metrics,
)
from tf_finetune.tasks import result_table
from tf_finetune.tasks.segmentation import mask_evaluation
from tf_finetune.workdir import json_schema

_NAME_WIDTH = 28
_COLUMNS = ("pictures", "mean IoU", "95 % interval", "pixel accuracy")
_BASELINE_NAMES = {
    "chance": "chance",
    "most_frequent_class": "most frequent class",
}
_CLASS_COLUMNS = ("iou", "dice", "accuracy", "boundary_f1")
_ALL_SHOWN = 30  # Classes; of more, the worst ones.


class Figures:
    """Metrics of a segmentation; ranks by mean IoU, ties by accuracy."""

    higher_is_better = (
        "boundary_f1",
        "frequency_weighted_iou",
        "mean_accuracy",
        "mean_dice",
        "mean_iou",
        "pixel_accuracy",
    )
    lower_is_better = ()
    unbounded = ()

    def rank_epoch(self, epoch: Mapping[str, float]) -> tuple[float, ...]:
        """Returns the key (val_mean_iou, -val_loss) of an epoch's logs."""
        return (epoch["val_mean_iou"], -epoch["val_loss"])

    def merit(self, figures: Mapping[str, Any]) -> tuple[float, ...]:
        """Returns the sort key (rounded mean IoU, pixel accuracy, mean IoU).

        Greater is better. Mean IoU is rounded to four digits first, so that a
        few pixels among millions do not decide, which rounding may move to
        another class; an undefined one ranks last.
        """
        mean_iou = figures["mean_iou"]
        mean_iou = -math.inf if mean_iou is None else mean_iou
        return (round(mean_iou, 4), figures["pixel_accuracy"], mean_iou)

    def format_brief(self, figures: Mapping[str, Any]) -> str:
        """Formats mean IoU and pixel accuracy in a few words."""
        return (
            f"mean IoU {figures['mean_iou']:.3f} "
            f"(pixel accuracy {figures['pixel_accuracy']:.3f})"
        )

    def describe_difference(
        self, figures: Mapping[str, Any], other: Mapping[str, Any]
    ) -> str:
        """Describes the difference in mean IoU, `figures` minus `other`.

        No confidence interval of the difference is given.
        """
        difference = figures["mean_iou"] - other["mean_iou"]
        return f"the difference in mean IoU is {difference:+.4f}"

    def summary(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Selects mean IoU, its interval and pixel accuracy."""
        names = ("mean_iou", "mean_iou_interval", "pixel_accuracy")
        return {name: figures[name] for name in names}

    def create_evaluator(
        self, data: examples.ImageData, split: str, *, seed: int
    ) -> mask_evaluation.MaskEvaluator:
        """Creates an accumulator that evaluates one picture after another.

        `data` has prepared masks; `seed` is that of the bootstrap.
        """
        return mask_evaluation.MaskEvaluator(data, split, seed=seed)

    def compute_baselines(
        self,
        described: Mapping[str, Any],
        data: examples.ImageData,
        split: str,
    ) -> dict[str, Any]:
        """Computes two baselines: chance and the commonest training class.

        Args:
            described: data.json of the training data, with pixel counts.
            data: The pictures to evaluate on.
            split: Which of them.

        Returns:
            `most_frequent_class` and `chance` → metrics, see
            `segmentation_metrics.summarize_confusion`.
        """
        pixels = described["masks"]["train"]["pixels"]
        trained_on = [pixels[name] for name in data.class_names]
        # From the counts that were made when masks were prepared.
        true = sum(
            np.bincount(
                mask_evaluation.find_class_indices(
                    picture.label, data.class_names
                )[:-1],
                picture.label.pixels[:-1],
                minlength=len(trained_on),
            )
            for picture in data.split(split)
        )
        commonest = data.class_names[int(np.argmax(trained_on))]
        return {
            "most_frequent_class": {
                **compute_most_frequent_class(trained_on, true),
                "class": commonest,
            },
            "chance": compute_chance(true),
        }

    def text(self, figures: Mapping[str, Any]) -> str:
        """Formats evaluation.json as a table of splits, baselines, classes."""
        return result_table.format_result(
            figures,
            key="mean_iou",
            baseline_names=_BASELINE_NAMES,
            name_width=_NAME_WIDTH,
            format_header=_format_header,
            format_row=_format_split,
            format_outputs=format_classes,
        )

    def draw(
        self,
        figures: Mapping[str, Any],
        names: Sequence[str],
        folder: pathlib.Path,
        split: str,
    ) -> None:
        """Draws the confusion matrix, in pixels, as PNG.

        Args:
            figures: Metrics of the split, with `confusion_matrix`.
            names: Names of the classes.
            folder: Where confusion_SPLIT.png is written.
            split: Name of the split.
        """
        # Takes a while to load, and not every command draws.
        from tf_finetune.drawing import result_plots

        result_plots.plot_confusion(
            figures["confusion_matrix"],
            names,
            folder / f"confusion_{split}.png",
            title=f"{split}: {self.format_brief(figures)} of "
            f"{figures['pictures']} pictures",
        )


FIGURES = Figures()


def build_data_schema(names: Sequence[str]) -> json_schema.Record:
    """Builds the schema of the mask statistics in data.json."""
    count = json_schema.Number(0, 10**18, is_whole=True)
    counts = json_schema.Record(dict.fromkeys(names, count))
    pixels = json_schema.Record({"pixels": counts})
    values = json_schema.Table(
        json_schema.Optional(json_schema.OneOf(tuple(names))), is_numbered=True
    )
    return json_schema.Record(
        needed={"masks": json_schema.Record({"train": pixels})},
        possible={"mask_values": values},
    )


def compute_chance(true: Sequence[int]) -> dict[str, float | None]:
    """Computes the metrics of a uniformly random class for each pixel.

    Args:
        true: [classes], pixels of each class in the evaluated pictures.

    Returns:
        Metrics by name, see `segmentation_metrics.summarize_confusion`.
    """
    # In expectation each class' pixels are spread evenly over all classes.
    pixels = np.asarray(true, "float64")[:, np.newaxis]
    return segmentation_metrics.summarize_confusion(
        np.repeat(pixels / len(pixels), len(pixels), axis=1)
    )


def compute_most_frequent_class(
    train: Sequence[int], true: Sequence[int]
) -> dict[str, float | None]:
    """Computes the metrics of always predicting the commonest training class.

    Args:
        train: [classes], pixels of each class in the training pictures; the
            first of equally common classes is predicted.
        true: [classes], pixels of each class in the evaluated pictures.

    Returns:
        Metrics by name, see `segmentation_metrics.summarize_confusion`.
    """
    # One column: every pixel is predicted to be of that class.
    confusion = np.zeros([len(true), len(true)])
    confusion[:, int(np.argmax(train))] = true
    return segmentation_metrics.summarize_confusion(confusion)


def format_classes(split: str, result: Mapping[str, Any]) -> str:
    """Formats a table of IoU, Dice, accuracy and boundary F1 of each class.

    Of more than 30 classes, the 30 worst by IoU are listed.

    Args:
        split: Name of the split, for the heading.
        result: Metrics of the split, as `compute_metrics` returns them.
    """
    rows = list(result["per_class"].items())
    heading = "".join(f"{each:>12}" for each in _CLASS_COLUMNS)
    lines = [
        terminal_escapes.pad_name(f"{split}, by class", _NAME_WIDTH) + heading
    ]
    if len(rows) > _ALL_SHOWN:
        rows = sorted(rows, key=_get_iou)[:_ALL_SHOWN]
        lines.append(f"the {_ALL_SHOWN} worst; all are in evaluation.json:")
    lines += [_format_cells(name, row, _CLASS_COLUMNS) for name, row in rows]
    averages = {
        "iou": result["mean_iou"],
        "dice": result["mean_dice"],
        "accuracy": result["mean_accuracy"],
        "boundary_f1": result["boundary_f1"],
    }
    return "\n".join(
        [*lines, _format_cells("average", averages, _CLASS_COLUMNS)]
    )


def _format_header(splits: Mapping[str, Any]) -> str:
    del splits
    return " " * _NAME_WIDTH + "".join(f"  {each}" for each in _COLUMNS)


def _get_iou(row: tuple[str, Mapping[str, Any]]) -> float:
    value = row[1]["iou"]
    # A class without a true pixel has no IoU: last, behind the best ones.
    return 1.0 if value is None else value


def _format_split(name: str, result: Mapping[str, Any]) -> str:
    interval = result.get("mean_iou_interval")
    shown = "{:.3f} - {:.3f}".format(*interval) if interval else ""
    cells = (
        result.get("pictures", ""),
        result_table.format_number(result["mean_iou"]),
        shown,
        result_table.format_number(result["pixel_accuracy"]),
    )
    line = terminal_escapes.pad_name(name, _NAME_WIDTH) + "".join(
        f"  {cell:>{len(column)}}"
        for cell, column in zip(cells, _COLUMNS, strict=True)
    )
    return line.rstrip()


def _format_cells(
    name: str, row: Mapping[str, float | None], columns: Sequence[str]
) -> str:
    cells = "".join(
        f"{result_table.format_number(row[key]):>12}" for key in columns
    )
    return terminal_escapes.pad_name(name, _NAME_WIDTH) + cells
