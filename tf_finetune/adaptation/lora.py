"""The adapter `lora`: low-rank changes of kernels, depthwise ones included.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models",
section 4.1.
"""

import fnmatch
from collections.abc import Sequence

import keras
import numpy as np

from tf_finetune.adaptation import carrier, kernels
from tf_finetune.config import model_options

MAX_ALPHA = 4
"""α = min(r, 4): with α = r, a rank of 8 took steps that were too large."""

# A depthwise kernel as a matrix has few rows, nine for a 3x3 window.
_MAX_DEPTHWISE_RANK = 2


def adapt_layer(
    site: carrier.Site, options: model_options.ModelOptions
) -> list[carrier.Change]:
    """Changes the kernels of a layer by W ↦ W + (α/r)·A·B.

    Args:
        site: The layer.
        options: `adapter_rank`, and `adapter_layers`, which selects kernels.

    Returns:
        One change for each selected kernel; none for other layers. A is drawn
        from the seed and the place of the layer, B is 0.
    """
    return [
        _change_kernel(site, number, kernel, options.adapter_rank)
        for number, kernel in enumerate(kernels.list_kernels(site.layer))
        if any(_matches(site, kernel, e) for e in options.adapter_layers)
    ]


def choose_rank(kernel: kernels.Kernel, rank: int) -> int:
    """Returns the rank of the change of a kernel, at most `rank`.

    It is at most 2 for a depthwise kernel, and no larger than the matrix is.
    """
    if kernel.kind == "depthwise":
        rank = min(rank, _MAX_DEPTHWISE_RANK)
    return min(rank, kernel.num_rows, kernel.num_columns)


def find_unmatched(
    sites: Sequence[carrier.Site], patterns: Sequence[str]
) -> list[str]:
    """Returns the values of `--adapter_layers` that select no kernel.

    Args:
        sites: Layers in which they look for kernels.
        patterns: "auto", "1x1", "depthwise" or patterns of layers.
    """
    found = [(e, k) for e in sites for k in kernels.list_kernels(e.layer)]
    return [
        pattern
        for pattern in patterns
        if not any(_matches(site, kernel, pattern) for site, kernel in found)
    ]


def _change_kernel(
    site: carrier.Site, number: int, kernel: kernels.Kernel, rank: int
) -> carrier.Change:
    r, n, m = choose_rank(kernel, rank), kernel.num_rows, kernel.num_columns
    # A ~ U(−√(6/n), √(6/n)), drawn by place: the same in every process.
    bound = (6 / n) ** 0.5
    generator = np.random.default_rng([site.seed, site.place, number])
    drawn = generator.uniform(-bound, bound, [n, r]).astype("float32")
    start = {"a": drawn, "b": np.zeros([r, m], "float32")}
    numbers = {
        name: keras.Variable(value, dtype="float32", name=f"{name}_{number}")
        for name, value in start.items()
    }
    factor = min(r, MAX_ALPHA) / r

    def compute(weight, theta):
        # Hu et al. 2021, section 4.1: W₀ + (α/r)·A·B.
        product = keras.ops.matmul(theta["a"], theta["b"])
        return weight + factor * kernel.from_matrix(product)

    return carrier.Change(
        site=site,
        target=kernel.variable,
        variable=kernel.name,
        numbers=numbers,
        compute=compute,
    )


def _matches(site: carrier.Site, kernel: kernels.Kernel, pattern: str) -> bool:
    if pattern == "auto":
        return True
    if pattern in ("1x1", "depthwise"):
        return kernel.kind == pattern
    # As in --trainable: a pattern without wildcards is a prefix.
    glob = pattern if set(pattern) & set("*?[") else f"{pattern}*"
    return fnmatch.fnmatchcase(site.owner, glob)
