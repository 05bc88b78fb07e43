"""Plots of a split's labels and targets, one output beside the other."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import axes, figure

from tf_finetune import terminal_escapes
from tf_finetune.drawing import result_plots

_DRAWN = 30  # Labels, at most.
_WIDTH = 28  # Characters of a name.
# Above this ratio of the largest to the smallest value most points of linear
# axes would lie in a corner.
_WIDE = 30
_LABEL_WIDTH = 40


def draw_labels(figures: Mapping[str, Any], path: pathlib.Path) -> None:
    """Draws each label's average precision and F1 as PNG, atomically.

    A bar is the average precision, a line across it that of random scores (the
    share of pictures that carry the label), a dot the F1 at the label's
    threshold. Of more than 30 labels the 15 best and the 15 worst are drawn;
    labels that no picture carries are left out.

    Args:
        figures: Metrics of one split, see
            `multilabel_metrics.compute_metrics`.
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


def draw_scatter(
    targets: np.ndarray,
    predictions: np.ndarray,
    names: Sequence[str],
    path: pathlib.Path,
) -> None:
    """Draws predicted against true values as PNG, a panel per target.

    The line marks predictions equal to the true values. Axes are logarithmic
    where all values are above 0 and span more than a factor of 30. The file is
    written atomically.

    Args:
        targets: [n, targets] true values.
        predictions: [n, targets] predicted values.
        names: Names of the targets.
        path: The file to write.
    """
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    drawing = figure.Figure(
        figsize=(4.6 * columns, 4.4 * rows), layout="constrained"
    )
    panels = drawing.subplots(rows, columns, squeeze=False).flat
    for index, panel in enumerate(panels):
        if index >= len(names):
            panel.set_axis_off()
            continue
        _draw_panel(panel, targets[:, index], predictions[:, index])
        title = terminal_escapes.shorten_name(names[index], _LABEL_WIDTH)
        panel.set_title(title, parse_math=False)
    result_plots.save_png(drawing, path)


def _draw_panel(
    panel: axes.Axes, true: np.ndarray, predicted: np.ndarray
) -> None:
    both = np.concatenate([true, predicted])
    low, high = float(both.min()), float(both.max())
    panel.scatter(true, predicted, s=12, alpha=0.6, linewidths=0)
    panel.plot([low, high], [low, high], color="gray", linewidth=0.8)
    if low > 0 and high / low > _WIDE:
        panel.set_xscale("log")
        panel.set_yscale("log")
    panel.set_xlabel("true")
    panel.set_ylabel("predicted")
    panel.grid(alpha=0.3)
