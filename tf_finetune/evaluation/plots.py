"""Pictures of figures: the confusion matrix and the training curves."""

import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging
from matplotlib import axes, figure, ticker

from tf_finetune import files
from tf_finetune.evaluation import names

# Above these numbers of classes cells are too small for a count, and sides
# too short for a name at every row.
_COUNTED = 30
_NAMED = 100
_LABEL_WIDTH = 24


def confusion(
    matrix: Sequence[Sequence[int]],
    class_names: Sequence[str],
    path: pathlib.Path,
) -> None:
    """Draws a confusion matrix as PNG, written atomically.

    Colours are shares of the true class, so that rare classes can be read;
    up to 30 classes have their counts written into the cells.

    Args:
        matrix: [classes, classes] counts, rows are true classes.
        class_names: In the order of the rows.
        path: The file to write.
    """
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = min(max(4.5, 2.5 + 0.3 * len(counts)), 24)
    drawing = figure.Figure(figsize=(size + 1, size), layout="constrained")
    place = drawing.add_subplot()
    image = place.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    bar = drawing.colorbar(image, ax=place, shrink=0.8)
    bar.set_label("share of the true class")
    place.set_xlabel("predicted class")
    place.set_ylabel("true class")
    _name_ticks(place, class_names)
    if len(counts) <= _COUNTED:
        _write_counts(place, counts, shares)
    save(drawing, path)


def curves(history: Sequence[Mapping[str, Any]], path: pathlib.Path) -> None:
    """Draws the course of training as PNG, written atomically.

    One panel for each metric, training and validation together; a vertical
    line where a stage begins.

    Args:
        history: A row for each epoch: `stage`, `epoch`, and metrics, those on
            validation under `val_` and the same name. Numbers may be missing.
        path: The file to write.

    Raises:
        ValueError: The history has no row or no metric.
    """
    metrics = _metrics(history)
    if not metrics:
        raise ValueError("The history holds no epoch with a number to draw.")
    drawing = figure.Figure(
        figsize=(7, 2.6 * len(metrics)), layout="constrained"
    )
    panels = drawing.subplots(len(metrics), 1, sharex=True, squeeze=False)
    for metric, panel in zip(metrics, panels[:, 0], strict=True):
        _draw_metric(panel, history, metric)
    panels[-1, 0].set_xlabel("epoch")
    panels[-1, 0].xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    save(drawing, path)


def _name_ticks(place: axes.Axes, class_names: Sequence[str]) -> None:
    if len(class_names) > _NAMED:
        return
    positions = np.arange(len(class_names))
    labels = [names.shown(name, _LABEL_WIDTH) for name in class_names]
    font = 9 if len(class_names) <= _COUNTED else 7
    place.set_xticks(positions, labels, rotation=90, fontsize=font)
    place.set_yticks(positions, labels, fontsize=font)
    for label in (*place.get_xticklabels(), *place.get_yticklabels()):
        # A class may be called "$".
        label.set_parse_math(False)


def _write_counts(
    place: axes.Axes, counts: np.ndarray, shares: np.ndarray
) -> None:
    for row, column in np.argwhere(counts):
        place.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=8 if counts.max() < 10_000 else 6,
            color="white" if shares[row, column] > 0.5 else "black",
        )


def _metrics(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lists the metrics in their order, without `val_`."""
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
            panel.axvline(i + 0.5, color="grey", linewidth=0.8)
    panel.set_ylabel(metric.replace("_", " "))
    panel.grid(alpha=0.3)
    panel.legend()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and bool(
        np.isfinite(value)
    )


def save(drawing: figure.Figure, path: pathlib.Path) -> None:
    """Writes a drawing as PNG, atomically; warns of what it cannot spell."""
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
