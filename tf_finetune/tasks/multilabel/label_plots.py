"""Bar chart of average precision and F1 per label."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import axes, figure

from tf_finetune import terminal_escapes
from tf_finetune.drawing import result_plots

_DRAWN = 30  # Labels, at most.
_WIDTH = 28  # Characters of a name.


def draw_labels(figures: Mapping[str, Any], path: pathlib.Path) -> None:
    """Draws each label's average precision and F1 as PNG, atomically.

    A bar is the average precision, a line across it that of random scores (the
    share of pictures that carry the label), a dot the F1 at the label's
    threshold. Of more than 30 labels the 15 best and the 15 worst are drawn.

    Args:
        figures: Of one split, as `metrics` computes them.
        path: The file to write.
    """
    known = [
        (name, row)
        for name, row in figures["per_label"].items()
        if row["support"]
    ]
    # The best ones on top: bars are drawn from below.
    known.sort(key=lambda each: each[1]["average_precision"])
    if len(known) > _DRAWN:
        known = known[: _DRAWN // 2] + known[-_DRAWN // 2 :]
    drawing = figure.Figure(
        figsize=(7, 1.6 + 0.32 * max(len(known), 1)), layout="constrained"
    )
    panel = drawing.add_subplot()
    places = np.arange(len(known))
    rows = [row for _, row in known]
    panel.barh(
        places,
        [row["average_precision"] for row in rows],
        color="C0",
        alpha=0.6,
        label="average precision",
    )
    panel.plot(
        [row["support"] / figures["examples"] for row in rows],
        places,
        "|",
        color="black",
        markersize=14,
        label="average precision of a guess",
    )
    panel.plot([row["f1"] for row in rows], places, "o", color="C1", label="F1")
    _set_tick_labels(
        panel, [f"{name} ({row['support']})" for name, row in known]
    )
    panel.set_xlim(0, 1)
    panel.grid(axis="x", alpha=0.3)
    drawing.legend(loc="outside upper center", ncols=3)
    result_plots.save_png(drawing, path)


def _set_tick_labels(panel: axes.Axes, labels: Sequence[str]) -> None:
    shown = [terminal_escapes.shorten_name(each, _WIDTH) for each in labels]
    panel.set_yticks(np.arange(len(shown)), shown)
    for label in panel.get_yticklabels():
        # A label may be called "$".
        label.set_parse_math(False)
