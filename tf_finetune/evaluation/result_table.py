"""Formats figures as plain text for the terminal, at most 80 columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune.evaluation import display_names, fusion_table

# 34 + 4 columns of 11 are 78, 25 + 8 + 9 + 15 + 9 + 6 + 8 are 80.
_NAME_WIDTH = 34
_SPLIT_WIDTH = 25
_LINE_WIDTH = 80
_MAX_SHOWN = 20
_WORST, _BEST = 10, 5
_BASELINE_NAMES = {
    "majority_class": "majority class",
    "probe": "head-only probe",
    **fusion_table.BASELINES,
}


def format_result(figures: Mapping[str, Any]) -> str:
    """Formats the result of a run or an evaluation.

    Args:
        figures: As `evaluation.json` stores them: figures by split, each with
            its `yardsticks` (baselines) if there are any, among entries of
            other kinds.

    Returns:
        Every split with its baselines, then the classes of the last split
        that was not trained on.
    """
    splits = {k: v for k, v in figures.items() if _is_result(v)}
    named = (_BASELINE_NAMES, _SPLIT_WIDTH - 2)
    lines = [_format_header(splits)]
    for name, result in splits.items():
        lines.append(_format_row(name, result))
        for key, other in result.get("yardsticks", {}).items():
            lines.append(
                _format_row(
                    f"  {format_baseline_name(key, other, *named)}", other
                )
            )
    if not splits:
        return "no split was evaluated"
    lines += list_baseline_notes(splits, *named)
    held_out = [name for name in splits if name != "train"] or list(splits)
    return "\n".join(
        [
            *lines,
            "",
            format_classes(held_out[-1], splits[held_out[-1]]),
            *fusion_table.format_fusion(figures),
        ]
    )


def format_classes(split: str, result: Mapping[str, Any]) -> str:
    """Formats the table of classes of one split.

    Up to 20 classes are all shown in their order; of more, the 10 worst and
    the 5 best by F1.

    Args:
        split: Its name, for the heading.
        result: The figures of the split.
    """
    rows = list(result["per_class"].items())
    lines = [
        f"{display_names.pad_name(split + ', by class', _NAME_WIDTH)}"
        f"{'precision':>11}{'recall':>11}{'f1':>11}{'pictures':>11}"
    ]
    if len(rows) <= _MAX_SHOWN:
        lines += [_format_class_row(name, row) for name, row in rows]
    else:
        lines += _format_extremes(rows)
    for how in ("macro", "weighted"):
        average = {
            figure: result[f"{how}_{figure}"]
            for figure in ("precision", "recall", "f1")
        }
        lines.append(_format_class_row(f"{how} average", average))
    return "\n".join(lines)


def _is_result(value: Any) -> bool:
    return isinstance(value, Mapping) and "per_class" in value


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
    line = (
        f"{display_names.pad_name(name, _SPLIT_WIDTH)}"
        f"{result.get('examples', ''):>8}"
        f"{result['accuracy']:>9.3f}"
        f"  {low:.3f} - {high:.3f}"
        f"{_format_number(result.get('log_loss')):>9}"
        f"{_format_number(result.get('expected_calibration_error')):>6}"
    )
    top = result.get("top_5_accuracy")
    return line.rstrip() if top is None else f"{line}{top:>8.3f}"


def format_baseline_name(
    key: str, result: Mapping[str, Any], names: Mapping[str, str], width: int
) -> str:
    """Names a baseline, with its class in parentheses where there is room.

    Args:
        key: Of the baseline in evaluation.json.
        result: Its entry.
        names: What tables call baselines, by key.
        width: Columns of the terminal that the name may take.
    """
    name = names.get(key, key)
    if "class" not in result:
        return name
    return display_names.append_note(name, result["class"], width)


def list_baseline_notes(
    splits: Mapping[str, Any], names: Mapping[str, str], width: int
) -> list[str]:
    """Lists the class of each baseline whose row is too narrow for it.

    Args: As `format_baseline_name`, for all splits of evaluation.json.
    """
    # Keys alone, in order: several splits have the same baseline.
    found = {}
    for result in splits.values():
        for key, other in result.get("yardsticks", {}).items():
            name = names.get(key, key)
            shown = format_baseline_name(key, other, names, width)
            # The row shows the bare name where "name (class)" is too wide.
            if "class" in other and shown == name:
                left = _LINE_WIDTH - display_names.measure_width(name) - 2
                found[
                    f"{name}: "
                    f"{display_names.shorten_name(other['class'], left)}"
                ] = None
    return list(found)


def _format_extremes(
    rows: Sequence[tuple[str, Mapping[str, Any]]],
) -> list[str]:
    # Classes without support have no F1 and are counted as hidden.
    scored = [row for row in rows if row[1]["f1"] is not None]
    ordered = sorted(scored, key=lambda row: row[1]["f1"])
    worst = ordered[:_WORST]
    # Beyond the worst, so that no class is listed twice.
    best = ordered[_WORST:][-_BEST:]
    hidden = len(rows) - len(worst) - len(best)
    return [
        *(_format_class_row(name, row) for name, row in worst),
        f"… {hidden} more classes are in evaluation.json; the best are:",
        *(_format_class_row(name, row) for name, row in best),
    ]


def _format_class_row(name: str, row: Mapping[str, Any]) -> str:
    figures = (
        _format_number(row[key]) for key in ("precision", "recall", "f1")
    )
    cells = "".join(f"{figure or '-':>11}" for figure in figures)
    line = f"{display_names.pad_name(name, _NAME_WIDTH)}{cells}"
    return f"{line}{row['support']:>11}" if "support" in row else line


def _format_number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
