"""Tables of segmentation results as plain text, at most 80 columns wide."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune.drawing import display_names
from tf_finetune.tasks import result_table

_NAME_WIDTH = 28
_COLUMNS = ("pictures", "mean IoU", "95 % interval", "pixel accuracy")
_YARDSTICKS = {
    "chance": "chance",
    "most_frequent_class": "most frequent class",
    "probe": "head-only probe",
}
_CLASS_COLUMNS = ("iou", "dice", "accuracy", "boundary_f1")
_ALL_SHOWN = 30  # Classes; of more, the worst ones.


def format_results(figures: Mapping[str, Any]) -> str:
    """Formats every split with its baselines, then the classes of the last."""
    return result_table.format_result(
        figures,
        key="mean_iou",
        baseline_names=_YARDSTICKS,
        name_width=_NAME_WIDTH,
        format_header=_format_header,
        format_row=_format_split,
        format_outputs=format_classes,
    )


def format_classes(split: str, result: Mapping[str, Any]) -> str:
    """Formats the table of classes; of more than 30, the 30 worst by IoU."""
    rows = list(result["per_class"].items())
    heading = "".join(f"{each:>12}" for each in _CLASS_COLUMNS)
    lines = [
        display_names.pad_name(f"{split}, by class", _NAME_WIDTH) + heading
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
    line = display_names.pad_name(name, _NAME_WIDTH) + "".join(
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
    return display_names.pad_name(name, _NAME_WIDTH) + cells
