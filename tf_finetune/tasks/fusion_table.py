"""Lines on a fusion of inputs below a table of figures."""

from collections.abc import Mapping
from typing import Any

from tf_finetune.drawing import display_names

BASELINES = {
    "single_pictures": "pictures one by one",
    "pictures": "pictures of a row",
    "columns": "columns",
    "stack": "stack of both",
    "network": "mean over pictures",
}
"""Names in tables of the candidates of a fusion."""


def format_fusion(figures: Mapping[str, Any]) -> list[str]:
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
            f"  {display_names.pad_name(name, 15)} weight "
            f"{', '.join(weights)}; alone {alone}"
        )
    if left_out := len(fusion["left_out"]):
        lines.append(f"  {left_out} rows without all their pictures left out")
    return lines
