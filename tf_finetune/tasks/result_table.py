"""Layout of the printed result of every task, at most 80 columns wide."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tf_finetune import terminal_escapes

_LINE_WIDTH = 80
# Up to 20 outputs all are shown; of more, the 10 worst and the 5 best.
_MAX_SHOWN = 20
_WORST, _BEST = 10, 5
# What tables call the baselines that several tasks have: the probe, and the
# candidates of a fusion.
_BASELINE_NAMES = {
    "probe": "head-only probe",
    "single_pictures": "pictures one by one",
    "pictures": "pictures of a row",
    "columns": "columns",
    "stack": "stack of both",
    "network": "mean over pictures",
}


def format_result(
    figures: Mapping[str, Any],
    *,
    key: str,
    baseline_names: Mapping[str, str],
    name_width: int,
    format_header: Callable[[Mapping[str, Any]], str],
    format_row: Callable[[str, Mapping[str, Any]], str],
    format_outputs: Callable[[str, Mapping[str, Any]], str],
) -> str:
    """Formats the result of a run or an evaluation as a table.

    Args:
        figures: Contents of evaluation.json: metrics by split, each with its
            `baselines` if there are any, among entries of other kinds.
        key: An entry that metrics of a split have and other entries lack.
        baseline_names: By key, the table's names of the task's own baselines.
        name_width: Columns of the terminal for the names of rows.
        format_header: Splits → the first line.
        format_row: Name and metrics of a split or baseline → its line.
        format_outputs: Name and metrics of a split → its classes or labels;
            empty: none are listed.

    Returns:
        Every split with its baselines, then the outputs of the last split that
        was not trained on, and the fusion of inputs if there is one.
    """
    splits = {
        name: value
        for name, value in figures.items()
        if isinstance(value, Mapping) and key in value
    }
    if not splits:
        return "no split was evaluated"
    known = {**_BASELINE_NAMES, **baseline_names}
    named = (known, name_width - 2)
    lines = [format_header(splits)]
    for name, result in splits.items():
        lines.append(format_row(name, result))
        for baseline, other in result.get("baselines", {}).items():
            shown = _format_baseline_name(baseline, other, *named)
            lines.append(format_row(f"  {shown}", other))
    lines += _list_baseline_notes(splits, *named)
    held_out = [name for name in splits if name != "train"] or list(splits)
    if outputs := format_outputs(held_out[-1], splits[held_out[-1]]):
        lines += ["", outputs]
    return "\n".join([*lines, *_format_fusion(figures)])


def format_extremes(
    rows: Sequence[tuple[str, Mapping[str, Any]]],
    format_row: Callable[[str, Mapping[str, Any]], str],
    *,
    by: str,
    noun: str,
) -> list[str]:
    """Formats the rows of outputs; of more than 20 the worst and the best.

    Args:
        rows: Names and metrics of all outputs.
        format_row: Name and metrics → a line.
        by: The metric that more than 20 outputs are ranked by; more is better.
        noun: Noun for those that are not shown: "classes".

    Returns:
        Lines: up to 20 outputs in the given order; else the 10 worst, the worst
        first, a line with the number of hidden ones, and the 5 best, the best
        last.
    """
    if len(rows) <= _MAX_SHOWN:
        return [format_row(*row) for row in rows]
    # Outputs without support have no figures and are counted as hidden.
    scored = [row for row in rows if row[1][by] is not None]
    ordered = sorted(scored, key=lambda row: row[1][by])
    worst = ordered[:_WORST]
    # Beyond the worst, so that no output is listed twice.
    best = ordered[_WORST:][-_BEST:]
    hidden = len(rows) - len(worst) - len(best)
    return [
        *(format_row(*row) for row in worst),
        f"… {hidden} more {noun} are in evaluation.json; the best are:",
        *(format_row(*row) for row in best),
    ]


def format_number(value: float | None, missing: str = "-") -> str:
    """Formats a metric with three decimals, None as `missing`."""
    return missing if value is None else f"{value:.3f}"


def _format_baseline_name(
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
    return terminal_escapes.append_note(name, result["class"], width)


def _list_baseline_notes(
    splits: Mapping[str, Any], names: Mapping[str, str], width: int
) -> list[str]:
    """Lists the class of each baseline whose row is too narrow for it.

    Args: As of `_format_baseline_name`, for all splits of evaluation.json.
    """
    # Keys alone, in order: several splits have the same baseline.
    found = {}
    for result in splits.values():
        for key, other in result.get("baselines", {}).items():
            name = names.get(key, key)
            shown = _format_baseline_name(key, other, names, width)
            # The row shows the bare name where "name (class)" is too wide.
            if "class" in other and shown == name:
                left = _LINE_WIDTH - terminal_escapes.measure_width(name) - 2
                found[
                    f"{name}: "
                    f"{terminal_escapes.shorten_name(other['class'], left)}"
                ] = None
    return list(found)


def _format_fusion(figures: Mapping[str, Any]) -> list[str]:
    """Formats the selected fusion and the weight and figure of each part.

    Args:
        figures: As evaluation.json holds them.

    Returns:
        Lines, the first one empty; none for a run on single pictures.
    """
    fusion = figures.get("fusion")
    if fusion is None:
        return []
    lines = [
        "",
        f"fusion: {fusion['kept']} kept, the best on validation; weight of "
        "each part,",
        f"and its {fusion['figure']} alone:",
    ]
    for name, each in fusion["parts"].items():
        # Once where all outputs have the same.
        weights = dict.fromkeys(f"{weight:.2f}" for weight in each["weights"])
        alone = ", ".join(f"{s} {v:.3f}" for s, v in each["alone"].items())
        lines.append(
            f"  {terminal_escapes.pad_name(name, 15)} weight "
            f"{', '.join(weights)}; alone {alone}"
        )
    if left_out := len(fusion["left_out"]):
        lines.append(f"  {left_out} rows without all their pictures left out")
    return lines
