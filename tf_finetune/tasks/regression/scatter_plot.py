"""Scatter plot of predicted against true values."""

import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib import axes, figure

from tf_finetune import terminal_escapes
from tf_finetune.drawing import result_plots

# Above this ratio of the largest to the smallest value most points of linear
# axes would lie in a corner.
_WIDE = 30
_LABEL_WIDTH = 40


def draw_scatter(
    targets: np.ndarray,
    predictions: np.ndarray,
    names: Sequence[str],
    path: pathlib.Path,
) -> None:
    """Draws one panel per target as PNG, written atomically.

    The line marks predictions equal to the true values. Axes are logarithmic
    where all values are above 0 and span more than a factor of 30.

    Args:
        targets: [n, targets] true values.
        predictions: [n, targets].
        names: Of the targets.
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
