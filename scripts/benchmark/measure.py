"""Commands timed in turn, and the tables that come of it."""

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
    """One way of doing the work that is compared.

    Attributes:
        command: Folder of its own → the command.
        figures: Folder → figures that it left there; the last line of its
            output, if it is JSON, is read anyway.
        environment: Changes to the environment.
        until: A pattern of a line of stderr at which the time is taken and
            the process ended; None: its own end.
    """

    command: Callable[[pathlib.Path], list[str]]
    figures: Callable[[pathlib.Path], dict[str, float]] = lambda folder: {}
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    until: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """The same work done in several ways, ours first.

    Attributes:
        title: What the work is.
        contenders: By name; the first one is compared with every other one.
        figure: What is compared: "seconds" (of the whole process) or a figure
            that every contender reports.
        more_is_better: Of that figure.
        beside: Figures that stand beside it in the table.
        most_rounds: Of what takes long and is far apart.
    """

    title: str
    contenders: Mapping[str, Contender]
    figure: str = "seconds"
    more_is_better: bool = False
    beside: tuple[str, ...] = ()
    most_rounds: int | None = None


def run(comparison: Comparison, rounds: int) -> dict[str, list[dict]]:
    """Runs the contenders in turn, round by round."""
    found: dict[str, list[dict]] = {name: [] for name in comparison.contenders}
    for _ in range(min(rounds, comparison.most_rounds or rounds)):
        for name, contender in comparison.contenders.items():
            found[name].append(_once(contender))
            print(f"  {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    return found


def table(comparison: Comparison, found: Mapping[str, list[dict]]) -> str:
    """Returns the results as Markdown, with the ratios of each round."""
    ours, *_ = comparison.contenders
    columns = [comparison.figure, "ratio", *comparison.beside]
    lines = [
        f"| | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
    ]
    for name, rows in found.items():
        cells = [_spread([row[comparison.figure] for row in rows])]
        cells.append("" if name == ours else ratio(comparison, found, name))
        for column in comparison.beside:
            values = [row[column] for row in rows if column in row]
            cells.append(_spread(values) if values else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ratio(
    comparison: Comparison, found: Mapping[str, list[dict]], name: str
) -> str:
    """Returns how many times better ours is, round by round, as text."""
    ours, *_ = comparison.contenders
    values = []
    for mine, theirs in zip(found[ours], found[name], strict=True):
        a, b = mine[comparison.figure], theirs[comparison.figure]
        values.append(a / b if comparison.more_is_better else b / a)
    return f"{_spread(values)}×"


def replaced(text: str, name: str, block: str) -> str:
    """Returns `text` with the block between the markers of `name` replaced.

    Raises:
        ValueError: The text has no such markers.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"no markers {begin} … {end}")
    return pattern.sub(lambda _: f"{begin}\n{block}\n{end}", text)


def conditions(before: Sequence[float]) -> str:
    """Returns machine, versions, load and date in a line."""
    processor = "unknown processor"
    information = pathlib.Path("/proc/cpuinfo")
    if information.exists():
        named = re.search(r"model name\s*: (.*)", information.read_text())
        processor = named.group(1) if named else processor
    return (
        f"{datetime.date.today()}, {processor}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, {_versions()}; load average "
        f"{before[0]:.1f} before, {os.getloadavg()[0]:.1f} after."
    )


def _versions() -> str:
    import importlib.metadata as metadata

    found = []
    for name in ("keras", "tensorflow", "tensorflow-cpu"):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def _once(contender: Contender) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        environment = {**os.environ, **contender.environment}
        if contender.until:
            command = contender.command(folder)
            return {"seconds": _seen(command, environment, contender.until)}
        start = time.perf_counter()
        done = subprocess.run(
            [*_peak(), *contender.command(folder)],
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
            # When the result was there; a script may know better.
            "reached": seconds,
            "peak_mb": int(peak) / 1e6,
            **_last_line(done.stdout),
            **contender.figures(folder),
        }


def _seen(
    command: Sequence[str], environment: Mapping[str, str], pattern: str
) -> float:
    """Returns the seconds until a line of stderr matches."""
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


def _peak() -> list[str]:
    """Returns the command that runs another one and reports its memory."""
    return [sys.executable, __file__]


def _last_line(output: str) -> dict[str, float]:
    lines = output.strip().splitlines()
    try:
        found = json.loads(lines[-1])
    except (ValueError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}


def _spread(values: Sequence[float]) -> str:
    """Returns the median and, of several values, the range."""
    middle = _number(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({_number(min(values))}–{_number(max(values))})"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    status = subprocess.run(sys.argv[1:]).returncode
    usage = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"peak bytes {usage * 1024}", file=sys.stderr)
    sys.exit(status)
