"""Plots of the confusion matrix and of the training curves."""

import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging
from matplotlib import axes, figure, ticker

from tf_finetune import files, terminal_escapes
from tf_finetune.metrics import confusion_counts

# Above these numbers of classes cells are too small for a count, and sides
# too short for a name at every row.
_MAX_ANNOTATED_CLASSES = 30
_MAX_NAMED_CLASSES = 100
_MAX_LABEL_COLUMNS = 24
# Up to this number of classes a cell has room for a second line.
_MAX_CLASSES_WITH_COUNTS = 10
# Rows that a chart has at most: 5000 classes would make 200 MB of cells.
_MAX_CELLS = 200


def plot_confusion(
    matrix: Sequence[Sequence[int]] | Mapping[str, Any],
    class_names: Sequence[str],
    path: pathlib.Path,
    *,
    title: str = "",
) -> None:
    """Draws a confusion matrix as PNG, written atomically.

    Colors are shares of the true class, so that rare classes are readable. Up
    to 30 classes have them written into the cells, in percent, and up to 10
    classes small counts below. Of more than 200 classes, neighbors share a
    cell.

    Args:
        matrix: As `confusion_counts.to_json` returns it; rows are true classes.
        class_names: Names in the order of the rows.
        path: The file to write.
        title: Heading: the split and the accuracy on it.
    """
    counts = confusion_counts.sum_blocks(
        confusion_counts.from_json(matrix), _MAX_CELLS
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # Inches: 0.3 a class and 2.5 for names and labels, within 4.5..24.
    size = min(max(4.5, 2.5 + 0.3 * len(counts)), 24)
    drawing = figure.Figure(figsize=(size + 1, size), layout="constrained")
    place = drawing.add_subplot()
    image = place.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    bar = drawing.colorbar(image, ax=place, shrink=0.8)
    bar.set_label("share of the true class")
    bar.ax.yaxis.set_major_formatter(ticker.PercentFormatter(1))
    each = ""
    if len(counts) < len(class_names):
        each = f" ({-(-len(class_names) // len(counts))} per cell)"
    place.set_xlabel(f"predicted class{each}")
    place.set_ylabel(f"true class{each}")
    # A "$" in a title is no formula.
    place.set_title(title).set_parse_math(False)
    if not each:
        _label_ticks(place, class_names)
    if len(counts) <= _MAX_ANNOTATED_CLASSES:
        _write_shares(place, counts, shares)
    save_png(drawing, path)


def plot_training_curves(
    history: Sequence[Mapping[str, Any]],
    path: pathlib.Path,
    *,
    kept: int | None = None,
    probe: Mapping[str, Any] | None = None,
) -> None:
    """Draws the training curves as PNG, written atomically.

    One panel for each metric, training and validation together; a vertical
    line where a training stage begins, a dotted one at the epoch whose weights
    are kept, and a dashed horizontal line at the metric of the probe.

    Args:
        history: One entry per epoch: `stage`, `epoch` and metrics, those on
            validation prefixed by `val_`. Numbers may be missing.
        path: The file to write.
        kept: Index in `history` of the epoch whose weights are kept; None: of
            no epoch.
        probe: Validation metrics of the probe, the pretrained backbone with
            the solved head. Those of metrics in the history are drawn.

    Raises:
        ValueError: The history has no epoch or no metric.
    """
    metrics = _list_metrics(history)
    if not metrics:
        raise ValueError("The history holds no epoch with a number to draw.")
    drawing = figure.Figure(
        figsize=(7, 2.6 * len(metrics)), layout="constrained"
    )
    panels = drawing.subplots(len(metrics), 1, sharex=True, squeeze=False)
    for metric, panel in zip(metrics, panels[:, 0], strict=True):
        _draw_metric(panel, history, metric)
        # Rows count from 0, epochs in the plot from 1.
        if kept is not None:
            panel.axvline(kept + 1, color="green", ls=":", label="kept epoch")
        level = (probe or {}).get(metric)
        if _is_number(level):
            panel.axhline(level, color="gray", ls="--", label="probe")
        panel.legend()
    panels[-1, 0].set_xlabel("epoch")
    panels[-1, 0].xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    # Half an epoch on both sides: also a single epoch gets an axis.
    panels[-1, 0].set_xlim(0.5, len(history) + 0.5)
    save_png(drawing, path)


def save_png(drawing: figure.Figure, path: pathlib.Path) -> None:
    """Writes a drawing as PNG, atomically.

    Logs a warning if the font lacks characters.

    Args:
        drawing: The Matplotlib figure.
        path: The file to write.
    """
    with (
        files.replacing(pathlib.Path(path)) as temporary,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        # A Figure without pyplot draws with Agg, which needs no screen.
        drawing.savefig(temporary, dpi=110, format="png")
    # One line instead of one warning for each character and place.
    if any("missing from font" in str(each.message) for each in caught):
        logging.warning(
            "%s: the font lacks characters of some class names; they are "
            "drawn as boxes.",
            path,
        )


def _label_ticks(place: axes.Axes, class_names: Sequence[str]) -> None:
    if len(class_names) > _MAX_NAMED_CLASSES:
        return
    positions = np.arange(len(class_names))
    labels = [
        terminal_escapes.shorten_name(name, _MAX_LABEL_COLUMNS)
        for name in class_names
    ]
    font = 9 if len(class_names) <= _MAX_ANNOTATED_CLASSES else 7
    place.set_xticks(positions, labels, rotation=90, fontsize=font)
    place.set_yticks(positions, labels, fontsize=font)
    for label in (*place.get_xticklabels(), *place.get_yticklabels()):
        # A class may be called "$".
        label.set_parse_math(False)


def _write_shares(
    place: axes.Axes, counts: np.ndarray, shares: np.ndarray
) -> None:
    with_counts = (
        len(counts) <= _MAX_CLASSES_WITH_COUNTS and counts.max() < 10_000
    )
    for row, column in np.argwhere(counts):
        text = f"{format_percent(shares[row, column])}"
        if with_counts:
            text += f"\n({counts[row, column]})"
        place.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=7 if len(counts) <= _MAX_CLASSES_WITH_COUNTS else 6,
            color="white" if shares[row, column] > 0.5 else "black",
        )


def format_percent(share: float) -> str:
    """Formats a share in 0..1 in percent, without decimals.

    Only 1 is "100 %" and only 0 is "0 %"; near them "<1 %" and ">99 %".
    """
    if 0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1:
        return ">99 %"
    return f"{100 * share:.0f} %"


def _list_metrics(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lists the metrics of a history in their order, without `val_`."""
    # A dict keeps the order of first occurrence, a set would not.
    found = {
        name.removeprefix("val_"): None
        for row in history
        for name, value in row.items()
        if name not in ("stage", "epoch") and _is_number(value)
    }
    return list(found)


def _draw_metric(
    panel: axes.Axes, history: Sequence[Mapping[str, Any]], metric: str
) -> None:
    positions = np.arange(1, len(history) + 1)
    lines = ((metric, "training"), (f"val_{metric}", "validation"))
    for name, label in lines:
        values = [
            float(row[name]) if _is_number(row.get(name)) else np.nan
            for row in history
        ]
        if not np.isnan(values).all():
            panel.plot(positions, values, marker=".", label=label)
    stages = [row.get("stage") for row in history]
    for i in range(1, len(history)):
        if stages[i] != stages[i - 1]:
            # Between the last epoch of a stage and the first of the next.
            panel.axvline(i + 0.5, color="gray", linewidth=0.8)
    panel.set_ylabel(metric.replace("_", " "))
    panel.grid(alpha=0.3)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and bool(
        np.isfinite(value)
    )
