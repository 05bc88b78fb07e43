"""Timing of commands in turn, and tables of the results."""

import dataclasses
import datetime
import json
import os
import pathlib
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contender:
    """One program of a comparison.

    Attributes:
        command: Returns the command, given a folder of its own.
        figures: Returns figures that it left in that folder; the last line of
            its output, if it is JSON, is read anyway.
        environment: Changes to the environment.
        until: Pattern of a line on stderr at which the clock and the process
            are stopped; None: at its own end.
    """

    command: Callable[[pathlib.Path], list[str]]
    figures: Callable[[pathlib.Path], dict[str, float]] = lambda folder: {}
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    until: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """The same work done by several programs, ours first.

    Attributes:
        title: Description of the work.
        contenders: By name; the first one is compared with every other one.
        figure: The compared figure: "seconds" (of the whole process) or one
            that every contender reports.
        more_is_better: Whether a larger figure is better.
        beside: Further figures in the table.
        most_rounds: Limit on the rounds, for slow work with clear results.
    """

    title: str
    contenders: Mapping[str, Contender]
    figure: str = "seconds"
    more_is_better: bool = False
    beside: tuple[str, ...] = ()
    most_rounds: int | None = None


def run(comparison: Comparison, rounds: int) -> dict[str, list[dict]]:
    """Runs the contenders in turn, round by round."""
    # In turn, so that a change of the machine's load meets all of them.
    found: dict[str, list[dict]] = {name: [] for name in comparison.contenders}
    for _ in range(min(rounds, comparison.most_rounds or rounds)):
        for name, contender in comparison.contenders.items():
            found[name].append(_run_once(contender))
            print(f"  {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    return found


def format_table(
    comparison: Comparison, found: Mapping[str, list[dict]]
) -> str:
    """Formats the results as a Markdown table, with the ratios of rounds."""
    ours, *_ = comparison.contenders
    columns = [comparison.figure, "ratio", *comparison.beside]
    lines = [
        f"| | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
    ]
    for name, rows in found.items():
        cells = [_format_spread([row[comparison.figure] for row in rows])]
        cells.append(
            "" if name == ours else format_ratio(comparison, found, name)
        )
        for column in comparison.beside:
            values = [row[column] for row in rows if column in row]
            cells.append(_format_spread(values) if values else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def format_ratio(
    comparison: Comparison, found: Mapping[str, list[dict]], name: str
) -> str:
    """Formats the factor by which ours is better, round by round."""
    ours, *_ = comparison.contenders
    values = []
    for mine, theirs in zip(found[ours], found[name], strict=True):
        a, b = mine[comparison.figure], theirs[comparison.figure]
        values.append(a / b if comparison.more_is_better else b / a)
    return f"{_format_spread(values)}×"


def replace_block(text: str, name: str, block: str) -> str:
    """Replaces the block between the markers of `name` in a text.

    Raises:
        ValueError: The text has no such markers.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"no markers {begin} … {end}")
    return pattern.sub(lambda _: f"{begin}\n{block}\n{end}", text)


def describe_conditions(before: Sequence[float]) -> str:
    """Describes machine, versions, load and date in a line."""
    processor = "unknown processor"
    information = pathlib.Path("/proc/cpuinfo")
    if information.exists():
        named = re.search(r"model name\s*: (.*)", information.read_text())
        processor = named.group(1) if named else processor
    return (
        f"{datetime.date.today()}, {processor}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, {_list_versions()}; load average "
        f"{before[0]:.1f} before, {os.getloadavg()[0]:.1f} after."
    )


def _list_versions() -> str:
    import importlib.metadata as metadata

    found = []
    for name in ("keras", "tensorflow", "tensorflow-cpu"):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def _run_once(contender: Contender) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        environment = {**os.environ, **contender.environment}
        if contender.until:
            command = contender.command(folder)
            return {
                "seconds": _time_until(command, environment, contender.until)
            }
        start = time.perf_counter()
        done = subprocess.run(
            [*_build_peak_command(), *contender.command(folder)],
            capture_output=True,
            text=True,
            env=environment,
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(f"{done.args} failed:\n{done.stderr[-3000:]}")
        *_, peak = done.stderr.split("peak bytes ")
        return {
            "seconds": seconds,
            # Default; a script may report when it had the result.
            "reached": seconds,
            "peak_mb": int(peak) / 1e6,
            **_parse_last_line(done.stdout),
            **contender.figures(folder),
        }


def _time_until(
    command: Sequence[str], environment: Mapping[str, str], pattern: str
) -> float:
    """Measures the seconds until a line of stderr matches a pattern."""
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        lines = []
        for line in process.stderr:
            if re.search(pattern, line):
                seconds = time.perf_counter() - start
                process.kill()
                return seconds
            lines.append(line)
    raise RuntimeError(f"never {pattern!r}:\n{''.join(lines)[-3000:]}")


def _build_peak_command() -> list[str]:
    """Returns a command that runs another one and reports its peak memory."""
    return [sys.executable, __file__]


def _parse_last_line(output: str) -> dict[str, float]:
    lines = output.strip().splitlines()
    try:
        found = json.loads(lines[-1])
    except (ValueError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}


def _format_spread(values: Sequence[float]) -> str:
    """Formats the median and, for several values, the range."""
    middle = _format_number(statistics.median(values))
    if len(values) == 1:
        return middle
    low, high = _format_number(min(values)), _format_number(max(values))
    return f"{middle} ({low}–{high})"


def _format_number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    status = subprocess.run(sys.argv[1:]).returncode
    # Linux gives the maximum resident set size in kB.
    usage = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"peak bytes {usage * 1024}", file=sys.stderr)
    sys.exit(status)
