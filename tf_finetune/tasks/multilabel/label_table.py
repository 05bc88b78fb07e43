"""Tables of multi-label results as plain text, 80 columns wide."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune.evaluation import display_names, fusion_table

_SPLIT_WIDTH, _NAME_WIDTH = 24, 22
# Up to 20 labels all are shown; of more, the 10 worst and the 5 best.
_ALL_SHOWN = 20
_WORST, _BEST = 10, 5
_YARDSTICKS = {
    "label_shares": "label shares",
    "probe": "head-only probe",
    **fusion_table.BASELINES,
}
_PER_LABEL = (
    ("AP", 7, "average_precision"),
    ("ROC AUC", 9, "roc_auc"),
    ("precision", 10, "precision"),
    ("recall", 8, "recall"),
    ("f1", 7, "f1"),
    ("from", 7, "threshold"),
)


def format_results(figures: Mapping[str, Any]) -> str:
    """Formats the result for printing.

    Args:
        figures: As `evaluation.json` holds them: figures by split, each with
            its `yardsticks` if there are any, beside entries of other kinds.

    Returns:
        Every split with its yardsticks, then the labels of the last split
        that training did not use.
    """
    splits = {k: v for k, v in figures.items() if _is_result(v)}
    if not splits:
        return "no split was evaluated"
    lines = [
        f"{'':{_SPLIT_WIDTH}}pictures   mAP  95 % interval macro F1 micro F1"
        " log loss"
    ]
    for name, result in splits.items():
        lines.append(_format_split(name, result))
        for key, other in result.get("yardsticks", {}).items():
            lines.append(_format_split(f"  {_YARDSTICKS.get(key, key)}", other))
    # All but the training split; the last one is shown label by label.
    held_out = [name for name in splits if name != "train"] or list(splits)
    return "\n".join(
        [
            *lines,
            "",
            format_labels(held_out[-1], splits[held_out[-1]]),
            *fusion_table.format_fusion(figures),
        ]
    )


def format_labels(split: str, result: Mapping[str, Any]) -> str:
    """Formats the table of labels of one split.

    Up to 20 labels are all shown in their order; of more, the 10 worst and
    the 5 best by average precision.

    Args:
        split: Its name, for the heading.
        result: The figures of the split.
    """
    rows = list(result["per_label"].items())
    heading = "".join(f"{title:>{width}}" for title, width, _ in _PER_LABEL)
    title = display_names.pad_name(f"{split}, by label", _NAME_WIDTH)
    lines = [f"{title}{heading}{'pictures':>9}"]
    if len(rows) <= _ALL_SHOWN:
        lines += [_format_label(name, row) for name, row in rows]
    else:
        lines += _format_extremes(rows)
    for how in ("macro", "micro"):
        average = {key: result.get(f"{how}_{key}") for _, _, key in _PER_LABEL}
        lines.append(_format_label(f"{how} average", average))
    lines.append(
        f"exact match {_format_number(result['exact_match'])}, Hamming loss "
        f"{_format_number(result['hamming_loss'])}"
    )
    return "\n".join(lines)


def _is_result(value: Any) -> bool:
    return isinstance(value, Mapping) and "per_label" in value


def _format_split(name: str, result: Mapping[str, Any]) -> str:
    interval = result.get("macro_average_precision_interval")
    low, high = interval or (None, None)
    return (
        f"{display_names.pad_name(name, _SPLIT_WIDTH)}"
        f"{result.get('examples', ''):>8}"
        f"{_format_number(result.get('macro_average_precision')):>6}"
        f"{_format_number(low):>7} - {_format_number(high):<5}"
        f"{_format_number(result.get('macro_f1')):>9}"
        f"{_format_number(result.get('micro_f1')):>9}"
        f"{_format_number(result.get('log_loss')):>9}"
    ).rstrip()


def _format_extremes(
    rows: Sequence[tuple[str, Mapping[str, Any]]],
) -> list[str]:
    # Labels without an average precision have no rank and are hidden.
    scored = [row for row in rows if row[1]["average_precision"] is not None]
    ordered = sorted(scored, key=lambda row: row[1]["average_precision"])
    worst = ordered[:_WORST]
    best = ordered[_WORST:][-_BEST:]
    hidden = len(rows) - len(worst) - len(best)
    return [
        *(_format_label(name, row) for name, row in worst),
        f"… {hidden} more labels are in evaluation.json; the best are:",
        *(_format_label(name, row) for name, row in best),
    ]


def _format_label(name: str, row: Mapping[str, Any]) -> str:
    cells = "".join(
        f"{_format_number(row[key]):>{width}}" for _, width, key in _PER_LABEL
    )
    line = f"{display_names.pad_name(name, _NAME_WIDTH)}{cells}"
    return f"{line}{row['support']:>9}" if "support" in row else line.rstrip()


def _format_number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
