"""Costs of a network: weights, multiply-adds, latency, memory."""

import dataclasses
import json
import math
import os
import pathlib
import platform
import subprocess
import sys

import keras
from absl import logging

from tf_finetune import environment, files
from tf_finetune.exports import float32_model
from tf_finetune.exports.parity import fresh_process

_SCRIPT = pathlib.Path(__file__).parent / "graph_timing.py"
# For all graphs together.
_TIMEOUT_SECONDS = 3600


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSize:
    """Size of a backbone: parameters, multiply-adds, width.

    Attributes:
        parameters: Number of weights of the backbone, without a head.
        multiply_adds: Multiply-adds of the backbone for one picture.
        width: Numbers in its pooled feature vector.
    """

    parameters: int
    multiply_adds: int
    width: int

    @property
    def megabytes_float32(self) -> float:
        """Size of its weights in float32, 10⁶ bytes."""
        return 4 * self.parameters / 1e6

    @property
    def megabytes_int8(self) -> float:
        """Size of its weights in int8, a byte each, 10⁶ bytes."""
        return self.parameters / 1e6


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkLatency:
    """Latency of a frozen graph on one device.

    Attributes:
        batch_1: Median milliseconds of a batch of one picture.
        batch_32: Median milliseconds of a batch of 32 pictures.
        memory_megabytes: Peak memory of its process with one picture, above
            that of TensorFlow alone, 10⁶ bytes.
    """

    batch_1: float
    batch_32: float
    memory_megabytes: float


def count_multiply_adds(model: keras.Model) -> int:
    """Counts the multiply-adds of convolutions and dense layers for a picture.

    Norms, activations and pooling are left out, as in published figures.

    Args:
        model: Built for one size, with one input and one output; nested models
            are counted through.
    """
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            total += count_multiply_adds(layer)
            continue
        kernels = sum(
            math.prod(weight.shape)
            for weight in layer.weights
            if len(weight.shape) > 1
        )
        # h·w·(k·k·c_in·c_out): each kernel number once per output position; a
        # depthwise kernel has no c_out.
        if kernels:
            total += kernels * math.prod(layer.output.shape[1:-1])
    return total


def write_graph(
    model: keras.Model, size: int, folder: pathlib.Path, name: str
) -> None:
    """Writes a model's frozen graph, as exports have it, for `time_graphs`.

    Args:
        model: Pictures [batch, size, size, 3] → predictions.
        size: Side of the pictures, pixels.
        folder: Existing folder that gets NAME.pb and NAME.json.
        name: NAME, the key of its latency in the result of `time_graphs`.
    """
    frozen = float32_model.freeze_model(model, size)
    graph = frozen.graph.as_graph_def().SerializeToString()
    (folder / f"{name}.pb").write_bytes(graph)
    files.write_json(folder / f"{name}.json", {"image_size": size})


def time_graphs(folder: pathlib.Path) -> dict[str, NetworkLatency]:
    """Measures latency and memory of the graphs in a folder, in a new process.

    Args:
        folder: Filled by `write_graph`; its NAME.json are overwritten.

    Returns:
        Latency by NAME; a graph that could not be run is logged and left out.

    Raises:
        subprocess.TimeoutExpired: All graphs together took more than an hour.
    """
    # -I: PYTHON* variables, the script's folder and the user's site-packages
    # are left out of the search for modules.
    done = subprocess.run(
        [sys.executable, "-I", str(_SCRIPT.resolve()), str(folder)],
        env=fresh_process.build_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    found, missing = {}, []
    for path in sorted(folder.glob("*.json")):
        values = json.loads(path.read_text("utf-8"))
        # A process that failed has left the JSON with the size alone.
        if "batch_1" in values:
            found[path.stem] = NetworkLatency(**values)
        else:
            missing.append(path.stem)
    if missing:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        logging.warning(
            "The latency of %d networks could not be measured: %s",
            len(missing),
            said[-1] if said else "their process ended without a message",
        )
    return found


def describe_device() -> str:
    """Describes host, processor, threads and devices, to key latencies by."""
    hardware = environment.describe_environment()["hardware"]
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS", "all")
    devices = ", ".join(hardware["devices"])
    return (
        f"{platform.node()}: {hardware['machine']}, {hardware['cpus']} cores, "
        f"threads {threads}, oneDNN {environment.describe_onednn()}, {devices}"
    )
