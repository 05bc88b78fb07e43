"""Table of a regression's figures, printed after an evaluation."""

from collections.abc import Mapping
from typing import Any

from tf_finetune.drawing import display_names

_SPLIT_WIDTH = 22  # Characters of the first column of a printed table.
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


def format_table(
    splits: Mapping[str, Mapping[str, Any]], fusion: Mapping[str, Any] | None
) -> str:
    """Formats every split with its baselines, then single targets.

    Args:
        splits: Figures by split.
        fusion: The fusion of a table's rows; None where there is none.
    """
    lines = [
        f"{'':{_SPLIT_WIDTH}}examples     R²    95 % interval"
        " log R²       MAE   MAPE"
    ]
    for split, result in splits.items():
        lines.append(_format_row(split, result, result["examples"]))
        for key, other in result.get("yardsticks", {}).items():
            name = f"  {_YARDSTICKS.get(key, key)}"
            lines.append(_format_row(name, other, ""))
    last = list(splits)[-1] if splits else None
    if last and len(splits[last]["per_target"]) > 1:
        lines += ["", f"targets, on {last}:"]
        for name, each in splits[last]["per_target"].items():
            lines.append(_format_row(f"  {name}", each, ""))
    if fusion is not None:
        lines += ["", *_format_fusion(fusion)]
    return "\n".join(lines)


def format_number(value: float | None) -> str:
    """Formats R² by three decimals, large numbers by three digits."""
    if value is None:
        return ""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.3g}"


def _format_row(name: str, result: Mapping[str, Any], count: int | str) -> str:
    interval = result.get("r2_interval")
    between = ""
    if interval is not None:
        between = (
            f"{format_number(interval[0])} to {format_number(interval[1])}"
        )
    mape = result.get("mape")
    return (
        f"{display_names.pad_name(name, _SPLIT_WIDTH)}"
        f"{count:>8}"
        f"{format_number(result.get('r2')):>7}"
        f"{between:>17}"
        f"{format_number(result.get('log_r2')):>7}"
        f" {_format_short(result.get('mae')):>9}"
        f"{'' if mape is None else f'{mape:.0%}':>7}"
    ).rstrip()


def _format_short(value: float | None) -> str:
    """Formats a number by four digits, without an exponent up to 1e7."""
    if value is None:
        return ""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"


def _format_fusion(fusion: Mapping[str, Any]) -> list[str]:
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
            f"  {display_names.pad_name(name, 15)} weight {weights}; alone "
            f"{alone}"
        )
    if left_out := len(fusion["left_out"]):
        lines.append(f"  {left_out} rows without all their pictures left out")
    return lines
