"""Printed result of a recommendation: table, sentence, command."""

from collections.abc import Sequence

from tf_finetune import terminal_escapes
from tf_finetune.recommendation import pareto_front, ranking

_NAME_WIDTH = 24


def format_table(rows: Sequence[ranking.Row]) -> str:
    """Formats candidates as a table for the terminal, one a line.

    Args:
        rows: Candidates, in the order of the lines.

    Returns:
        Lines below a header; those on the Pareto front begin with a star, and
        a dash stands for a figure that was not measured.
    """
    head = (
        f"  {'backbone':<{_NAME_WIDTH}} {'top-1':>5} {'MB':>6} {'int8':>5} "
        f"{'ms':>6} {'ms/32':>7} {'LogME':>7} {'5-NN':>5} "
        f"{'probe':>5} {'log loss':>8} {'tuned':>5}  left out at"
    )
    front = pareto_front.find_front(rows)
    lines = [
        _format_row(row, is_on_front)
        for row, is_on_front in zip(rows, front, strict=True)
    ]
    return "\n".join([head, *lines])


def _format_row(row: ranking.Row, is_on_front: bool) -> str:
    last = row.rungs[-1] if row.rungs else None
    probe = last.probe if last else None
    latency = row.latency
    prior = row.candidate.prior
    tuned = row.fine_tuned and row.fine_tuned["accuracy"]
    name = terminal_escapes.pad_name(row.candidate.label, _NAME_WIDTH)
    cells = (
        _format(prior, 5, 1),
        _format(row.size.megabytes_float32, 6, 1),
        _format(row.size.megabytes_int8, 5, 1),
        _format(latency and latency.batch_1, 6, 1),
        _format(latency and latency.batch_32, 7, 1),
        _format(last and last.logme, 7, 3),
        _format(last and last.knn, 5, 3),
        _format(probe and probe.accuracy, 5, 3),
        _format(probe and probe.log_loss, 8, 3),
        _format(tuned, 5, 3),
    )
    star = "*" if is_on_front else " "
    line = f"{star} {name} {' '.join(cells)}  {row.dropped_at or ''}"
    return line.rstrip()


def _format(value: float | None, width: int, digits: int) -> str:
    return f"{'–':>{width}}" if value is None else f"{value:{width}.{digits}f}"


def format_sentence(rows: Sequence[ranking.Row]) -> str:
    """Formats a sentence that compares the pick with its best alternative.

    The alternative is the fastest other network on the Pareto front; without
    one, the next of the ranking that has a probe and a latency.

    Args:
        rows: Candidates, the pick first.

    Returns:
        The sentence; without an alternative it says so.
    """
    # The fastest network that is not dominated: the pick's price.
    pick, *others = rows
    name = pick.candidate.label
    comparable = [row for row in others if row.compared_probe and row.latency]
    # A second copy of a row does not dominate it.
    front = [
        row for row in comparable if pareto_front.find_front([row, *rows])[0]
    ]
    rivals = sorted(front, key=lambda row: row.latency.batch_1) or comparable
    if not (rivals and pick.compared_probe and pick.latency):
        return f"{name} is the only candidate that could be compared."
    rival = rivals[0]
    points = 100 * (
        pick.compared_probe.accuracy - rival.compared_probe.accuracy
    )
    times = pick.latency.batch_1 / rival.latency.batch_1
    # Such a difference would be printed as 0.0.
    if abs(points) < 0.05:
        compared = "as good as"
    else:
        word = "better" if points > 0 else "worse"
        compared = f"{abs(points):.1f} points {word} than"
    error = 100 * pareto_front.compute_standard_error(pick)
    return (
        f"{name} is {compared} {rival.candidate.label} at {times:.1f} times "
        f"the latency (probe; its standard error is {error:.1f} points)."
    )
