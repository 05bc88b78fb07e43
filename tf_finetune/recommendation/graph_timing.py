"""Times frozen graphs; a program of its own, without this package.

`python -I graph_timing.py FOLDER` measures each FOLDER/NAME.pb, a GraphDef from
`images:0` [batch, SIZE, SIZE, 3] to `predictions:0`, with SIZE in NAME.json,
and writes the result into that file: the median milliseconds at batch 1 and 32
and the memory in megabytes.
"""

import json
import os
import pathlib
import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

_BATCHES = (1, 32)
# Calls before timing, timed calls, and seconds after which fewer are enough.
_WARM_UP = 5
_CALLS = 30
_FEWEST = 5
_SECONDS = 2.0


def main(folder: pathlib.Path) -> int:
    """Measures every FOLDER/NAME.pb in a forked process of its own.

    FOLDER/NAME.json holds the input's size (`image_size`), and is replaced by
    the figures that `measure_graph` returns.

    Returns:
        The number of graphs that could not be measured: the exit status.
    """
    failures = 0
    for path in sorted(folder.glob("*.pb")):
        # TensorFlow has computed nothing here, so that it can be forked: each
        # process has memory of one graph alone, and none imports it again.
        child = os.fork()
        if not child:
            _measure_and_exit(path)
        _, status = os.waitpid(child, 0)
        failures += status != 0
    return failures


def _measure_and_exit(path: pathlib.Path) -> None:
    status = 1
    try:
        about = path.with_suffix(".json")
        size = json.loads(about.read_text())["image_size"]
        about.write_text(json.dumps(measure_graph(path, size)))
        status = 0
    finally:
        # Without the parent's exit handlers, which a fork inherits.
        os._exit(status)


def measure_graph(path: pathlib.Path, size: int) -> dict[str, float]:
    """Measures latency and memory of one graph.

    Args:
        path: File of a serialized GraphDef from `images:0` to `predictions:0`.
        size: Side of its input, pixels.

    Returns:
        `batch_1` and `batch_32`: median milliseconds per call with a batch of 1
        and 32 pictures; `memory_megabytes`: peak of this process with one
        picture above its memory before the graph was loaded, 10⁶ bytes.
    """
    before = _read_peak_bytes()
    function = _load_graph(path)
    generator = np.random.default_rng(0)
    found = {}
    for batch in _BATCHES:
        images = tf.constant(
            generator.uniform(0, 255, [batch, size, size, 3]).astype("float32")
        )
        found[f"batch_{batch}"] = time_calls(
            # np.asarray waits for the result: calls on a GPU return before.
            lambda images=images: np.asarray(function(images))
        )
        if batch == 1:
            # Of one picture: 32 of them mostly measure their own pixels.
            used = _read_peak_bytes() - before
    return {**found, "memory_megabytes": used / 1e6}


def time_calls(call: Callable[[], object]) -> float:
    """Measures the median milliseconds of 30 calls, after 5 that are not timed.

    Slow calls are fewer: after two seconds five timed calls are enough.

    Args:
        call: Returns when its computation is done.
    """
    start = time.perf_counter()
    # The first calls allocate memory and choose kernels.
    for _ in range(_WARM_UP):
        call()
        if time.perf_counter() - start > _SECONDS:
            break
    taken: list[float] = []
    start = time.perf_counter()
    while len(taken) < _CALLS:
        begun = time.perf_counter()
        call()
        ended = time.perf_counter()
        taken.append(ended - begun)
        if len(taken) >= _FEWEST and ended - start > _SECONDS:
            break
    # The median: single calls are delayed by other processes.
    return 1000 * statistics.median(taken)


def _load_graph(path: pathlib.Path) -> Callable[[tf.Tensor], tf.Tensor]:
    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(path.read_bytes())
    whole = tf.compat.v1.wrap_function(
        lambda: tf.compat.v1.import_graph_def(graph, name=""), []
    )
    tensor = whole.graph.as_graph_element
    return whole.prune(tensor("images:0"), tensor("predictions:0"))


def _read_peak_bytes() -> int:
    """Returns the peak memory of this process, bytes."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        # Of this process alone: a fork's ru_maxrss begins with its parent's.
        (line,) = [
            each
            for each in status.read_text().splitlines()
            if each.startswith("VmHWM:")
        ]
        return int(line.split()[1]) * 1024
    # Without /proc, on macOS, it is counted in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
