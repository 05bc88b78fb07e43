"""Table of a classifier's figures as plain text, 80 columns wide."""

from collections.abc import Mapping
from typing import Any

from tf_finetune.drawing import display_names
from tf_finetune.tasks import result_table

# 34 + 4 columns of 11 are 78, 25 + 8 + 9 + 15 + 9 + 6 + 8 are 80.
_NAME_WIDTH = 34
_SPLIT_WIDTH = 25
_BASELINE_NAMES = {
    "majority_class": "majority class",
    "probe": "head-only probe",
}
_PER_CLASS = ("precision", "recall", "f1")


def format_result(figures: Mapping[str, Any]) -> str:
    """Formats every split with its baselines, then the classes of the last."""
    return result_table.format_result(
        figures,
        key="per_class",
        baseline_names=_BASELINE_NAMES,
        name_width=_SPLIT_WIDTH,
        format_header=_format_header,
        format_row=_format_row,
        format_outputs=format_classes,
    )


def format_classes(split: str, result: Mapping[str, Any]) -> str:
    """Formats the table of classes of one split; of many the extremes by F1.

    Args:
        split: Its name, for the heading.
        result: The figures of the split.
    """
    lines = [
        f"{display_names.pad_name(split + ', by class', _NAME_WIDTH)}"
        f"{'precision':>11}{'recall':>11}{'f1':>11}{'pictures':>11}"
    ]
    lines += result_table.format_extremes(
        list(result["per_class"].items()),
        _format_class_row,
        by="f1",
        noun="classes",
    )
    for how in ("macro", "weighted"):
        average = {figure: result[f"{how}_{figure}"] for figure in _PER_CLASS}
        lines.append(_format_class_row(f"{how} average", average))
    return "\n".join(lines)


def _format_header(splits: Mapping[str, Any]) -> str:
    top = "   top 5" if _has_top(splits.values()) else ""
    return (
        f"{'':{_SPLIT_WIDTH}}pictures accuracy  95 % interval "
        f"log loss   ECE{top}"
    )


def _has_top(results: Any) -> bool:
    return any(each.get("top_5_accuracy") is not None for each in results)


def _format_row(name: str, result: Mapping[str, Any]) -> str:
    low, high = result["accuracy_interval"]
    ece = result.get("expected_calibration_error")
    line = (
        f"{display_names.pad_name(name, _SPLIT_WIDTH)}"
        f"{result.get('examples', ''):>8}"
        f"{result['accuracy']:>9.3f}"
        f"  {low:.3f} - {high:.3f}"
        f"{result_table.format_number(result.get('log_loss'), ''):>9}"
        f"{result_table.format_number(ece, ''):>6}"
    )
    top = result.get("top_5_accuracy")
    return line.rstrip() if top is None else f"{line}{top:>8.3f}"


def _format_class_row(name: str, row: Mapping[str, Any]) -> str:
    cells = "".join(
        f"{result_table.format_number(row[key]):>11}" for key in _PER_CLASS
    )
    line = f"{display_names.pad_name(name, _NAME_WIDTH)}{cells}"
    return f"{line}{row['support']:>11}" if "support" in row else line
