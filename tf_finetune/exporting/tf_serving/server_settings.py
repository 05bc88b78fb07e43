"""What TensorFlow Serving is told beside the model: its name, its batches.

Both files are text protocol buffers: `tensorflow_model_server
--model_config_file=model.config --enable_batching
--batching_parameters_file=batching_parameters.txt`. The values are measured on
the machine that exports; on another one they are to be measured there, by
exporting once more.

Source: github.com/tensorflow/serving, tensorflow_serving/batching/README.md
and g3doc/serving_config.md.
"""

import dataclasses
import math
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from tf_finetune import files
from tf_finetune.exporting import layout

_BATCH_SIZES = (1, 2, 4, 8, 16, 32)
_ENOUGH = 0.95
_REPEATED = 3
_QUEUE_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """How long a batch takes.

    Attributes:
        batch_size: Rows: pictures, or whole rows of a table.
        seconds: For all of them.
    """

    batch_size: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.batch_size / self.seconds


def measure(
    answer: Callable[[list[Any]], object],
    rows: Sequence[Any],
    *,
    budget_seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Measured]:
    """Times batches of 1, 2, 4 … 32 rows.

    Args:
        answer: Rows → what the model says of them, when it is done.
        rows: Real ones, used in turn.
        budget_seconds: No larger batch is begun after this time, and none is
            begun that would likely exceed it.
        clock: Seconds.

    Returns:
        At least the first one, the quickest of up to three calls each.
    """
    start = clock()
    found: list[Measured] = []
    for size in _BATCH_SIZES:
        # Once to warm up and once to be timed, twice as long as the last one.
        ahead = 4 * found[-1].seconds if found else 0.0
        if clock() - start + ahead > budget_seconds and found:
            break
        batch = [rows[i % len(rows)] for i in range(size)]
        answer(batch)
        best = math.inf
        for _ in range(_REPEATED):
            begun = clock()
            answer(batch)
            best = min(best, clock() - begun)
            if clock() - start > budget_seconds:
                break
        found.append(Measured(batch_size=size, seconds=best))
    return found


def best_batch(measured: Sequence[Measured]) -> Measured:
    """Returns the smallest batch within 5 % of the highest rate."""
    highest = max(each.rate for each in measured)
    return next(each for each in measured if each.rate >= _ENOUGH * highest)


def batching(measured: Sequence[Measured], *, cores: int, kind: str) -> str:
    """Returns the text of `batching_parameters.txt`.

    Args:
        measured: What `measure` found.
        cores: Of the processor.
        kind: What a row is called: "encoded pictures".
    """
    best = best_batch(measured)
    wait = measured[0].seconds / 2
    queued = max(cores, int(_QUEUE_SECONDS / best.seconds))
    lines = [f"# Measured while exporting, {kind} on this machine:"]
    lines += [
        f"#   {each.batch_size:>2} a batch: {each.rate:7.1f} a second, "
        f"{1000 * each.seconds:.1f} ms"
        for each in measured
    ]
    lines += [
        "# The smallest batch within 5 % of the highest rate.",
        f"max_batch_size {{ value: {best.batch_size} }}",
        "# A lone one waits for others half as long as it takes itself.",
        f"batch_timeout_micros {{ value: {round(1e6 * wait)} }}",
        "# One a core.",
        f"num_batch_threads {{ value: {cores} }}",
        "# What is done in a second; what comes on top is refused at once.",
        f"max_enqueued_batches {{ value: {queued} }}",
    ]
    return "\n".join(lines) + "\n"


def model_config(name: str) -> str:
    """Returns the text of `model.config`.

    Args:
        name: What the server calls the model; letters, digits, - and _.
    """
    return (
        "# The folder of versions, as TensorFlow Serving's container expects "
        "it.\n"
        "model_config_list {\n"
        "  config {\n"
        f'    name: "{name}"\n'
        f'    base_path: "/models/{name}"\n'
        '    model_platform: "tensorflow"\n'
        "  }\n"
        "}\n"
    )


def write(folder: pathlib.Path, name: str, parameters: str) -> None:
    """Writes both files into the folder of versions, atomically."""
    files.write_text(folder / layout.MODEL_CONFIG, model_config(name))
    files.write_text(folder / layout.BATCHING, parameters)
