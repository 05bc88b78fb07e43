"""Table of a regression's figures, printed after an evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune.drawing import display_names
from tf_finetune.tasks import fusion_table

_SPLIT_WIDTH = 22  # Characters of the first column of a printed table.
_YARDSTICKS = {
    "training_mean": "training mean",
    "training_median": "training median",
    "probe": "head-only probe",
    **fusion_table.BASELINES,
}


def format_table(
    splits: Mapping[str, Mapping[str, Any]], fusion: Sequence[str] = ()
) -> str:
    """Formats every split with its baselines, then single targets.

    Args:
        splits: Figures by split.
        fusion: Lines on the fusion of inputs.
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
    return "\n".join([*lines, *fusion])


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
