"""Charts of a study, as PNG bytes."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import axes, figure

from tf_finetune.config import search_space
from tf_finetune.tuning import trial_records
from tf_finetune.tuning import winner as winners

_COLUMNS = 3
_BEST, _OTHER, _BASELINE = "tab:red", "tab:blue", "black"


def plot_progress(
    records: Sequence[trial_records.TrialRecord],
    winner: winners.Winner,
    metric: str,
    direction: str,
) -> bytes:
    """Draws the metric of each finished trial and the best one so far.

    Args:
        records: The trials by number; those without a result are left out.
        winner: The best trial and the baseline.
        metric: Name of the metric.
        direction: "maximize" or "minimize".

    Returns:
        A PNG file.
    """
    shown = [each for each in records if each.value is not None]
    numbers = [each.number for each in shown]
    values = np.array([each.value for each in shown])
    reduce = np.minimum if direction == "minimize" else np.maximum
    drawing = figure.Figure(figsize=(7, 3.2), layout="constrained")
    panel = drawing.add_subplot()
    panel.plot(numbers, values, "o", color=_OTHER, alpha=0.6, label="trial")
    panel.step(
        numbers,
        reduce.accumulate(values),
        where="post",
        color=_BEST,
        label="best so far",
    )
    _draw_baseline(panel, winner)
    panel.set_xlabel("trial")
    panel.set_ylabel(f"{metric} on validation")
    # Where the lines never are; looking for the best place takes long.
    panel.legend(loc="upper left" if direction == "minimize" else "lower right")
    return _encode(drawing)


def plot_dimensions(
    records: Sequence[trial_records.TrialRecord],
    winner: winners.Winner,
    dimensions: Sequence[search_space.Dimension],
    metric: str,
) -> bytes:
    """Draws the metric against each searched option, one panel an option.

    Args:
        records: The trials; those without a result are left out.
        winner: The best trial and the baseline.
        dimensions: The search space.
        metric: Name of the metric.

    Returns:
        A PNG file.
    """
    shown = [each for each in records if each.value is not None]
    rows = -(-len(dimensions) // _COLUMNS)  # Rounded up.
    drawing = figure.Figure(
        figsize=(3.4 * min(len(dimensions), _COLUMNS), 2.8 * rows),
        layout="constrained",
    )
    panels = drawing.subplots(
        rows, min(len(dimensions), _COLUMNS), squeeze=False
    )
    for panel in panels.flat[len(dimensions) :]:
        panel.set_visible(False)
    for each, panel in zip(dimensions, panels.flat, strict=False):
        _draw_dimension(panel, shown, winner, each)
    panels[0, 0].set_ylabel(f"{metric} on validation")
    return _encode(drawing)


def _draw_dimension(
    panel: axes.Axes,
    shown: Sequence[trial_records.TrialRecord],
    winner: winners.Winner,
    dimension: search_space.Dimension,
) -> None:
    is_interval = isinstance(dimension, search_space.Interval)
    places = (
        {} if is_interval else {t: i for i, t in enumerate(dimension.texts)}
    )
    for each in shown:
        text = each.settings.get(dimension.option, "none")
        if is_interval:
            if text in ("none", "auto"):
                continue  # A default that is no number.
            place = float(text)
        else:
            # The baseline may lie outside of the search space.
            place = places.setdefault(text, len(places))
        is_best = each.number == winner.trial.number
        panel.plot(
            place,
            each.value,
            "*" if is_best else "o",
            color=_BEST if is_best else _OTHER,
            markersize=11 if is_best else 5,
            alpha=0.7,
        )
    if is_interval:
        panel.set_xscale("log" if dimension.is_log else "linear")
    else:
        panel.set_xticks(range(len(places)), [*places], fontsize=8)
        panel.set_xlim(-0.5, len(places) - 0.5)
    panel.set_xlabel(dimension.option)


def plot_importance(importance: Mapping[str, float]) -> bytes:
    """Draws the importance of each option as a bar.

    Args:
        importance: Share of each option, 0..1, by name.

    Returns:
        A PNG file.
    """
    names = [*importance][::-1]  # Bars are drawn from below.
    drawing = figure.Figure(
        figsize=(7, 0.8 + 0.35 * len(names)), layout="constrained"
    )
    panel = drawing.add_subplot()
    panel.barh(names, [importance[name] for name in names], color=_OTHER)
    panel.set_xlim(0, 1)
    panel.set_xlabel("importance for the metric")
    return _encode(drawing)


def plot_curves(
    records: Sequence[trial_records.TrialRecord],
    winner: winners.Winner,
    direction: str,
) -> bytes:
    """Draws the value of every epoch on validation, one line a trial.

    Args:
        records: The trials; those without epochs are left out.
        winner: The best trial, drawn on top.
        direction: "maximize" or "minimize", of the metric of the study.

    Returns:
        A PNG file.
    """
    sign = -1 if direction == "minimize" else 1
    drawing = figure.Figure(figsize=(7, 3.6), layout="constrained")
    panel = drawing.add_subplot()
    for each in records:
        is_best = each.number == winner.trial.number
        is_pruned = each.outcome == "pruned"
        panel.plot(
            [*each.epochs],
            [sign * value for value in each.epochs.values()],
            color=_BEST if is_best else "gray" if is_pruned else _OTHER,
            linestyle=":" if is_pruned else "-",
            linewidth=2 if is_best else 1,
            alpha=1 if is_best else 0.5,
            zorder=3 if is_best else 2,
        )
    panel.set_xlabel("epoch")
    panel.set_ylabel("ranking of epochs on validation")
    panel.set_title("red: the best trial; dotted: pruned", fontsize=9)
    return _encode(drawing)


def _draw_baseline(panel: axes.Axes, winner: winners.Winner) -> None:
    if winner.baseline is not None:
        panel.axhline(
            winner.baseline.value, color=_BASELINE, ls="--", label="baseline"
        )


def _encode(drawing: figure.Figure) -> bytes:
    for panel in drawing.axes:
        panel.grid(alpha=0.3)
    buffer = io.BytesIO()
    # A Figure without pyplot draws with Agg, which needs no screen.
    drawing.savefig(buffer, dpi=110, format="png")
    return buffer.getvalue()
