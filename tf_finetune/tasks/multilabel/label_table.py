"""Tables of multi-label results as plain text, 80 columns wide."""

from collections.abc import Mapping
from typing import Any

from tf_finetune.drawing import display_names
from tf_finetune.tasks import result_table

_SPLIT_WIDTH, _NAME_WIDTH = 24, 22
_YARDSTICKS = {"label_shares": "label shares", "probe": "head-only probe"}
_PER_LABEL = (
    ("AP", 7, "average_precision"),
    ("ROC AUC", 9, "roc_auc"),
    ("precision", 10, "precision"),
    ("recall", 8, "recall"),
    ("f1", 7, "f1"),
    ("from", 7, "threshold"),
)


def format_results(figures: Mapping[str, Any]) -> str:
    """Formats every split with its baselines, then the labels of the last."""
    return result_table.format_result(
        figures,
        key="per_label",
        baseline_names=_YARDSTICKS,
        name_width=_SPLIT_WIDTH,
        format_header=_format_header,
        format_row=_format_split,
        format_outputs=format_labels,
    )


def format_labels(split: str, result: Mapping[str, Any]) -> str:
    """Formats the table of labels; of many the extremes by average precision.

    Args:
        split: Its name, for the heading.
        result: The figures of the split.
    """
    heading = "".join(f"{title:>{width}}" for title, width, _ in _PER_LABEL)
    title = display_names.pad_name(f"{split}, by label", _NAME_WIDTH)
    lines = [f"{title}{heading}{'pictures':>9}"]
    lines += result_table.format_extremes(
        list(result["per_label"].items()),
        _format_label,
        by="average_precision",
        noun="labels",
    )
    for how in ("macro", "micro"):
        average = {key: result.get(f"{how}_{key}") for _, _, key in _PER_LABEL}
        lines.append(_format_label(f"{how} average", average))
    match, hamming = (
        result_table.format_number(result[key])
        for key in ("exact_match", "hamming_loss")
    )
    lines.append(f"exact match {match}, Hamming loss {hamming}")
    return "\n".join(lines)


def _format_header(splits: Mapping[str, Any]) -> str:
    del splits
    return (
        f"{'':{_SPLIT_WIDTH}}pictures   mAP  95 % interval macro F1 micro F1"
        " log loss"
    )


def _format_split(name: str, result: Mapping[str, Any]) -> str:
    interval = result.get("macro_average_precision_interval")
    low, high = map(result_table.format_number, interval or (None, None))
    mean, macro, micro, loss = (
        result_table.format_number(result.get(key))
        for key in (
            "macro_average_precision",
            "macro_f1",
            "micro_f1",
            "log_loss",
        )
    )
    return (
        f"{display_names.pad_name(name, _SPLIT_WIDTH)}"
        f"{result.get('examples', ''):>8}{mean:>6}{low:>7} - {high:<5}"
        f"{macro:>9}{micro:>9}{loss:>9}"
    ).rstrip()


def _format_label(name: str, row: Mapping[str, Any]) -> str:
    cells = "".join(
        f"{result_table.format_number(row[key]):>{width}}"
        for _, width, key in _PER_LABEL
    )
    line = f"{display_names.pad_name(name, _NAME_WIDTH)}{cells}"
    return f"{line}{row['support']:>9}" if "support" in row else line.rstrip()
