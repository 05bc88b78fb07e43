"""`--batch_size=auto`: the largest batch that fits, tried in child processes.

A training step that asks for too much memory takes its process with it, so
each size is tried in one of its own. TensorFlow must not have started in this
one: it would hold the memory of the GPU that the child is to find.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence

from absl import logging

from tf_finetune import errors
from tf_finetune.adaptation import catalog as adaptation
from tf_finetune.config import options, train_config
from tf_finetune.training import optimizers

_LARGEST = 256
# The first two sizes, from which the memory of others is extrapolated.
_FIRST_SIZES = (8, 16)
# Fraction of the free memory that steps may take: the rest is for other
# processes and for the run's needs beside its training steps.
_MEMORY_FRACTION = 0.7
_TIMEOUT_SECONDS = 900
_MODULE = "tf_finetune.training.devices.batch_probe"
_MEMORY = pathlib.Path("/proc/meminfo")
_CONTROL_GROUP = pathlib.Path("/sys/fs/cgroup")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """Device and peak memory of training steps of one batch size.

    Attributes:
        on_cpu: Whether they ran on a CPU, in the machine's main memory.
        peak_bytes: Peak main memory of the process that ran them.
    """

    on_cpu: bool
    peak_bytes: int


Attempt = Callable[[int], Trial | None]


def find_largest_batch(
    config: train_config.TrainConfig, *, num_pictures: int, num_classes: int
) -> int:
    """Finds the largest power of two whose training step fits into memory.

    Args:
        config: The run's config; its `batch_size` is not read.
        num_pictures: Largest size to try.
        num_classes: Number of the model's outputs.

    Returns:
        1..256; 32 where no training step depends on it (`--epochs=0`, or the
        optimizer "gd").

    Raises:
        RunError: Not even one picture can be trained on.
    """
    if config.training.epochs == 0 or _is_full_batch(config):
        return optimizers.REFERENCE_BATCH_SIZE
    failure: list[str] = []

    def attempt(size: int) -> Trial | None:
        return _try_in_child(config, size, num_classes, failure)

    available = read_available_bytes()
    found = search_largest(
        list_powers_of_two(num_pictures), attempt, _MEMORY_FRACTION * available
    )
    if found is None:
        raise errors.RunError(
            "--batch_size=auto: not even one picture can be trained on; the "
            f"attempt ended with: {failure[-1]}"
        )
    logging.info("batch size: %d pictures a step fit into memory", found)
    return found


def apply_batch_size(
    config: train_config.TrainConfig, largest_batch: int, num_examples: int
) -> train_config.TrainConfig:
    """Returns a new config with a batch size and a matching learning rate.

    Args:
        config: Config with `--batch_size=auto`.
        largest_batch: Largest batch size that fits into memory.
        num_examples: Examples of the training split.

    Returns:
        The batch size is a power of two no larger than the split; the learning
        rate is scaled to it where the run trains by gradient steps and the user
        gave none.
    """
    # No batch larger than the training split.
    size = list_powers_of_two(min(largest_batch, num_examples))[-1]
    if (
        _is_full_batch(config)
        or not config.has_gradient_steps
        or _has_own_rates(config)
    ):
        return options.replace(config, batch_size=size)
    rate = optimizers.scale_learning_rate(config.training, size)
    if config.training.learning_rate is not None:
        return options.replace(config, batch_size=size, learning_rate=rate)
    factors = {e: adaptation.find_rate_factor(e) for e in config.adaptations}
    if len({*factors.values()}) == 1:
        rate *= next(iter(factors.values()))
        return options.replace(config, batch_size=size, learning_rate=rate)
    from tf_finetune.config import fit_stage_options

    # Stages whose methods have other default rates.
    return fit_stage_options.set_rates(
        options.replace(config, batch_size=size),
        lambda each: rate * factors[each],
    )


def _has_own_rates(config: train_config.TrainConfig) -> bool:
    """Returns whether stages give the learning rate of every step."""
    if not config.training.stages:
        return False
    from tf_finetune.config import fit_stage_options

    return fit_stage_options.have_own_rates(config.training.stages)


def _is_full_batch(config: train_config.TrainConfig) -> bool:
    return config.training.optimizer.lower() == "gd"


def list_powers_of_two(most: int) -> list[int]:
    """Lists the powers of two from 1 to the smaller of `most` and 256."""
    # 2^8 is the largest.
    return [2**n for n in range(9) if 2**n <= min(max(most, 1), _LARGEST)]


def search_largest(
    sizes: Sequence[int], attempt: Attempt, limit_bytes: float
) -> int | None:
    """Finds the largest batch size whose training step fits into memory.

    On a CPU the memory of two small sizes is measured and extrapolated
    linearly; the size this predicts is then tried itself. On a GPU the size is
    doubled until one fails.

    Args:
        sizes: Sizes to choose from, ascending.
        attempt: Trains with a size; returns None if that failed.
        limit_bytes: Memory that a process may take on a CPU.

    Returns:
        One of `sizes`; None if training failed with all of them up to 8.
    """
    starts = [size for size in sizes if size <= _FIRST_SIZES[0]]
    for start in reversed(starts):
        trial = attempt(start)
        if trial is not None:
            break
    else:
        return None
    # A larger size has failed already.
    if start < starts[-1]:
        return start
    above = [size for size in sizes if size > start]
    if not trial.on_cpu:
        return _search_by_doubling(start, above, attempt)
    return _search_by_extrapolation(start, trial, above, attempt, limit_bytes)


def _search_by_doubling(
    start: int, above: Sequence[int], attempt: Attempt
) -> int:
    found = start
    for size in above:
        if attempt(size) is None:
            break
        found = size
    return found


def _search_by_extrapolation(
    start: int,
    trial: Trial,
    above: Sequence[int],
    attempt: Attempt,
    limit_bytes: float,
) -> int:
    if not above:
        return start
    second = attempt(above[0])
    if second is None or second.peak_bytes > limit_bytes:
        return start
    # Activations grow linearly with the batch size; weights do not grow.
    slope = max(second.peak_bytes - trial.peak_bytes, 0) / (above[0] - start)
    for size in reversed(above[1:]):
        if second.peak_bytes + slope * (size - above[0]) > limit_bytes:
            continue
        last = attempt(size)
        if last is not None and last.peak_bytes <= limit_bytes:
            return size
    return above[0]


def read_available_bytes(
    memory: pathlib.Path = _MEMORY, group: pathlib.Path = _CONTROL_GROUP
) -> int:
    """Returns the free memory of this machine or container, in bytes.

    Args:
        memory: Linux' /proc/meminfo; without it half of all memory is taken.
        group: Folder of this process' control group, version 2.
    """
    try:
        lines = memory.read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        free = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        # Not Linux: free memory is unknown there, so half of all memory.
        pages = os.sysconf("SC_PHYS_PAGES")
        return pages * os.sysconf("SC_PAGE_SIZE") // 2
    try:
        most = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):  # No such group, or "max": no limit.
        return free
    return min(free, max(most - used, 0))


def _try_in_child(
    config: train_config.TrainConfig,
    size: int,
    num_classes: int,
    failure: list[str],
) -> Trial | None:
    """Trains a few steps in a child process; records the reason of failure."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "run.flags"
        flagged = options.replace(config, batch_size=size)
        path.write_text(options.to_flagfile(flagged), encoding="utf-8")
        command = [sys.executable, "-m", _MODULE, str(path), str(num_classes)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                env=_make_child_environment(),
                timeout=_TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            failure.append(
                f"no training step finished within {_TIMEOUT_SECONDS} seconds"
            )
            return None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no error output"]
        failure.append(f"{said[-1]} (status {done.returncode})")
        logging.info("batch size: %d pictures a step do not fit", size)
        return None
    # The last line: libraries may print others before it.
    trial = Trial(**json.loads(done.stdout.splitlines()[-1]))
    gigabytes = trial.peak_bytes / 2**30
    logging.info("batch size: %d pictures take %.2f GiB", size, gigabytes)
    return trial


def _make_child_environment() -> dict[str, str]:
    """Returns an environment in which the child can import this package."""
    package = str(pathlib.Path(__file__).parents[2])
    paths = [package, os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
