"""Chart of accuracy against latency, with the Pareto front."""

import pathlib
from collections.abc import Sequence

from matplotlib import figure

from tf_finetune.drawing import result_plots
from tf_finetune.recommendation import pareto_front, ranking


def plot_pareto(rows: Sequence[ranking.Row], path: pathlib.Path) -> None:
    """Draws accuracy against latency into a PNG, written atomically.

    The probe's accuracy, ± one standard error, against milliseconds per picture
    on a logarithmic axis; candidates off the Pareto front (those that another
    one beats in both) are gray.

    Args:
        rows: Candidates; those without a probe or a latency are left out.
        path: PNG file to write.
    """
    shown = [row for row in rows if row.compared_probe and row.latency]
    front = pareto_front.find_front(shown)
    drawing = figure.Figure(figsize=(7, 4.5), layout="constrained")
    panel = drawing.add_subplot()
    for row, is_best in zip(shown, front, strict=True):
        color = "tab:blue" if is_best else "gray"
        panel.errorbar(
            row.latency.batch_1,
            100 * row.compared_probe.accuracy,
            yerr=100 * pareto_front.compute_standard_error(row),
            fmt="o",
            color=color,
            capsize=3,
        )
        panel.annotate(
            # Matplotlib would read text between dollars as a formula.
            row.candidate.label.replace("$", r"\$"),
            (row.latency.batch_1, 100 * row.compared_probe.accuracy),
            textcoords="offset points",
            xytext=(6, 4),
            fontsize=8,
            color=color,
        )
    panel.set_xscale("log")
    panel.set_xlabel("latency of one picture, ms")
    panel.set_ylabel("accuracy of the probe, % (± standard error)")
    panel.grid(alpha=0.3, which="both")
    # Names stand to the right of their points.
    panel.margins(x=0.2)
    result_plots.save_png(drawing, path)
