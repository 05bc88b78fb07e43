"""Checks that sizes fit into this machine's memory, before anything runs.

Lower bounds are counted: images of one step as float32, kernels with their
gradients and one moving average of each. A run that passes may still be too
large.
"""

import os
from collections.abc import Sequence

from tf_finetune import errors
from tf_finetune.config import train_config

_FLOAT_BYTES = 4
_CHANNELS = 3
# Lower bound on the width of a backbone's features.
_FEWEST_FEATURES = 16
# A weight, its gradient, and one slot variable of the optimizer.
_COPIES = 3


def check_memory(config: train_config.TrainConfig, image_size: int) -> None:
    """Raises `UsageError` for sizes that cannot fit into memory.

    Args:
        config: The run.
        image_size: Side of the network's square input, pixels.
    """
    memory = _read_memory_bytes()
    if not memory:
        return
    model, training = config.model, config.training
    picture = image_size**2 * _CHANNELS * _FLOAT_BYTES
    if picture > memory:
        _refuse(f"--image_size={image_size}", "one picture", picture, memory)
    count = training.batch_size
    # With several machines a step's images are divided among them.
    is_whole = training.strategy not in ("multi_worker", "tpu")
    if count != "auto" and is_whole and count * picture > memory:
        _refuse(
            f"--batch_size={count}",
            f"the pictures of a step ({image_size} x {image_size} pixels each)",
            count * picture,
            memory,
        )
    units = _count_weight_bytes([str(model.head_units)])
    if units > memory:
        _refuse(f"--head_units={model.head_units}", "weights", units, memory)
    layers = model.surgery.head_layers
    if (needed := _count_weight_bytes(layers)) > memory:
        shown = ",".join(layers)
        _refuse(f"--head_layers={shown}", "weights", needed, memory)


def _count_weight_bytes(layers: Sequence[str]) -> int:
    """Returns the memory for training dense layers of these widths, bytes."""
    widths = [_FEWEST_FEATURES, *(int(e) for e in layers if e.isdecimal())]
    # Kernels of dense layers: Σ width_i · width_(i+1); biases are left out.
    weights = sum(a * b for a, b in zip(widths, widths[1:], strict=False))
    return weights * _FLOAT_BYTES * _COPIES


def _read_memory_bytes() -> int:
    """Returns the memory of this machine, bytes; 0: unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0


def _refuse(flag: str, what: str, needed: int, memory: int) -> None:
    raise errors.UsageError(
        f"{flag} cannot fit: {what} alone would take "
        f"{needed / 1e9:,.0f} GB of memory, and this machine has "
        f"{memory / 1e9:,.0f} GB. Choose a smaller one."
    )
