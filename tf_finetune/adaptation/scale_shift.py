"""The adapter `scale_shift`: a factor and an offset for each output channel.

Source: Lian et al. 2022, "Scaling & Shifting Your Features: A New Baseline for
Efficient Model Tuning" (SSF), section 3.2.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tf_finetune.adaptation import carrier, kernels, norm
from tf_finetune.config import model_options


def adapt_layer(
    site: carrier.Site, options: model_options.ModelOptions
) -> list[carrier.Change]:
    """Changes the output of a layer by y ↦ s⊙y + t, within its weights.

    Args:
        site: The layer.
        options: Not read.

    Returns:
        Changes of γ and β of a normalization layer, or of the kernel and bias
        of a layer that no batch norm follows; a layer without an offset gets
        the factor alone; other layers get none. s = 1 and t = 0 before
        training.
    """
    del options
    layer = site.layer
    if isinstance(layer, norm.NORMS):
        return _change_norm(site)
    found = kernels.list_kernels(layer)
    # Behind the layer the batch norm's own factor and offset are changed.
    if not found or site.feeds_batch_norm:
        return []
    # The last kernel is the one before the output (separable convolutions).
    return _change_kernel(site, found[-1])


def _change_norm(site: carrier.Site) -> list[carrier.Change]:
    layer = site.layer
    if layer.gamma is None:
        if layer.beta is None:
            return []
        return [norm.add_delta(site, "beta", layer.beta)]
    scale = _make_number(layer.gamma.shape, "scale", 1.0)
    scaled = carrier.Change(
        site=site,
        target=layer.gamma,
        variable="gamma",
        numbers={"scale": scale},
        compute=lambda value, theta: value * theta["scale"],
    )
    return [scaled, *_shift(site, "beta", layer.beta, scale)]


def _change_kernel(
    site: carrier.Site, kernel: kernels.Kernel
) -> list[carrier.Change]:
    offset, shape = site.layer.bias, kernel.column_shape
    if offset is not None and np.prod(offset.shape) != np.prod(shape):
        # An einsum layer whose bias several outputs share: no factor for each.
        return []
    if offset is not None:
        shape = offset.shape
    scale = _make_number(shape, "scale", 1.0)
    scaled = carrier.Change(
        site=site,
        target=kernel.variable,
        variable=kernel.name,
        numbers={"scale": scale},
        # K·diag(s).
        compute=lambda value, theta: (
            value * kernel.align_columns(theta["scale"])
        ),
    )
    return [scaled, *_shift(site, "bias", offset, scale)]


def _shift(
    site: carrier.Site,
    name: str,
    offset: keras.Variable | None,
    scale: keras.Variable,
) -> list[carrier.Change]:
    """Makes the change b ↦ s⊙b + t of an offset, if there is one."""
    if offset is None:
        return []
    shift = _make_number(offset.shape, "shift", 0.0)

    def compute(value: Any, theta: Mapping[str, Any]) -> Any:
        return value * theta["scale"] + theta["shift"]

    return [
        carrier.Change(
            site=site,
            target=offset,
            variable=name,
            numbers={"scale": scale, "shift": shift},
            compute=compute,
        )
    ]


def _make_number(
    shape: tuple[int, ...], name: str, value: float
) -> keras.Variable:
    start = np.full(shape, value, "float32")
    return keras.Variable(start, dtype="float32", name=name)
