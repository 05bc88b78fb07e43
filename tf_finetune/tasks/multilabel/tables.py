"""Tables of multi-label results as plain text, 80 columns wide."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune.evaluation import names

_SPLIT_WIDTH, _NAME_WIDTH = 24, 22
# Up to 20 labels all are shown; of more, the 10 worst and the 5 best.
_ALL_SHOWN = 20
_WORST, _BEST = 10, 5
_YARDSTICKS = {"label_shares": "label shares", "probe": "head-only probe"}
_PER_LABEL = (
    ("AP", 7, "average_precision"),
    ("ROC AUC", 9, "roc_auc"),
    ("precision", 10, "precision"),
    ("recall", 8, "recall"),
    ("f1", 7, "f1"),
    ("from", 7, "threshold"),
)


def text(figures: Mapping[str, Any]) -> str:
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
        lines.append(_row(name, result))
        for key, other in result.get("yardsticks", {}).items():
            lines.append(_row(f"  {_YARDSTICKS.get(key, key)}", other))
    # All but the training split; the last one is shown label by label.
    held_out = [name for name in splits if name != "train"] or list(splits)
    return "\n".join([*lines, "", by_label(held_out[-1], splits[held_out[-1]])])


def by_label(split: str, result: Mapping[str, Any]) -> str:
    """Formats the table of labels of one split.

    Up to 20 labels are all shown in their order; of more, the 10 worst and
    the 5 best by average precision.

    Args:
        split: Its name, for the heading.
        result: The figures of the split.
    """
    rows = list(result["per_label"].items())
    heading = "".join(f"{title:>{width}}" for title, width, _ in _PER_LABEL)
    title = names.padded(f"{split}, by label", _NAME_WIDTH)
    lines = [f"{title}{heading}{'pictures':>9}"]
    if len(rows) <= _ALL_SHOWN:
        lines += [_label_row(name, row) for name, row in rows]
    else:
        lines += _extremes(rows)
    for how in ("macro", "micro"):
        average = {key: result.get(f"{how}_{key}") for _, _, key in _PER_LABEL}
        lines.append(_label_row(f"{how} average", average))
    lines.append(
        f"exact match {_number(result['exact_match'])}, Hamming loss "
        f"{_number(result['hamming_loss'])}"
    )
    return "\n".join(lines)


def _is_result(value: Any) -> bool:
    return isinstance(value, Mapping) and "per_label" in value


def _row(name: str, result: Mapping[str, Any]) -> str:
    interval = result.get("macro_average_precision_interval")
    low, high = interval or (None, None)
    return (
        f"{names.padded(name, _SPLIT_WIDTH)}"
        f"{result.get('examples', ''):>8}"
        f"{_number(result.get('macro_average_precision')):>6}"
        f"{_number(low):>7} - {_number(high):<5}"
        f"{_number(result.get('macro_f1')):>9}"
        f"{_number(result.get('micro_f1')):>9}"
        f"{_number(result.get('log_loss')):>9}"
    ).rstrip()


def _extremes(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    # Labels without an average precision have no rank and are hidden.
    scored = [row for row in rows if row[1]["average_precision"] is not None]
    ordered = sorted(scored, key=lambda row: row[1]["average_precision"])
    worst = ordered[:_WORST]
    best = ordered[_WORST:][-_BEST:]
    hidden = len(rows) - len(worst) - len(best)
    return [
        *(_label_row(name, row) for name, row in worst),
        f"… {hidden} more labels are in evaluation.json; the best are:",
        *(_label_row(name, row) for name, row in best),
    ]


def _label_row(name: str, row: Mapping[str, Any]) -> str:
    cells = "".join(
        f"{_number(row[key]):>{width}}" for _, width, key in _PER_LABEL
    )
    line = f"{names.padded(name, _NAME_WIDTH)}{cells}"
    return f"{line}{row['support']:>9}" if "support" in row else line.rstrip()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
