"""Web page of a study: one file, which loads nothing from elsewhere."""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune.tuning import study_plots, trial_records
from tf_finetune.tuning import winner as winners
from tf_finetune.tuning import worker as workers

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; color: #222; }
img { max-width: 100%; }
table { border-collapse: collapse; font-size: 13px; }
td, th { border-bottom: 1px solid #ddd; padding: .2rem .6rem;
  text-align: left; }
tr.best { font-weight: bold; } tr.failed, tr.pruned { color: #777; }
""".strip()


def build_page(
    worker: workers.Worker,
    winner: winners.Winner,
    records: Sequence[trial_records.TrialRecord],
    content: Mapping[str, Any],
) -> str:
    """Builds the page of a study as HTML.

    Args:
        worker: The study's options and metric.
        winner: The best trial and the baseline.
        records: All trials.
        content: The content of study.json.

    Returns:
        HTML with the charts inside, as PNG.
    """
    direction = worker.objective.direction
    metric = content["metric"]
    charts = {
        "Trials": study_plots.plot_progress(records, winner, metric, direction),
        "Searched options": study_plots.plot_dimensions(
            records, winner, worker.config.dimensions, metric
        ),
    }
    if content["importance"]:
        charts["Importance"] = study_plots.plot_importance(
            content["importance"]
        )
    if any(each.epochs for each in records):
        charts["Learning curves"] = study_plots.plot_curves(
            records, winner, direction
        )
    name = html.escape(worker.folder.path.resolve().name)
    body = [
        f"<h1>Study {name}</h1>",
        *(f"<p>{html.escape(each)}</p>" for each in content["summary"]),
        *(_format_chart(title, png) for title, png in charts.items()),
        "<h2>All trials</h2>",
        _format_table(records, winner),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">\n'
        f"<title>Study {name}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _format_chart(title: str, png: bytes) -> str:
    data = base64.b64encode(png).decode("ascii")
    return (
        f"<h2>{html.escape(title)}</h2>\n"
        f'<img alt="{html.escape(title)}" src="data:image/png;base64,{data}">'
    )


def _format_table(
    records: Sequence[trial_records.TrialRecord], winner: winners.Winner
) -> str:
    names = [*dict.fromkeys(n for each in records for n in each.settings)]
    titles = ["trial", *names, "validation", "epochs", "seconds", "outcome"]
    rows = [_format_row(titles, "th", "")]
    for each in records:
        cells = [
            str(each.number) + (" (baseline)" if each.number == 0 else ""),
            *(_shorten(each.settings.get(name, "")) for name in names),
            each.brief,
            str(len(each.epochs)),
            "" if each.seconds is None else f"{each.seconds:.0f}",
            each.outcome + (f": {each.reason}" if each.reason else ""),
        ]
        kind = each.outcome if each.outcome == "pruned" else ""
        if each.outcome in ("refused", "crashed"):
            kind = "failed"
        if each.number == winner.trial.number:
            kind = "best"
        rows.append(_format_row(cells, "td", kind))
    return "<table>\n" + "\n".join(rows) + "\n</table>"


def _format_row(cells: Sequence[str], tag: str, kind: str) -> str:
    inner = "".join(f"<{tag}>{html.escape(each)}</{tag}>" for each in cells)
    return f'<tr class="{kind}">{inner}</tr>'


def _shorten(text: str) -> str:
    """Returns a number with three digits; other texts unchanged."""
    try:
        return text if text.isdecimal() else f"{float(text):.3g}"
    except ValueError:
        return text
