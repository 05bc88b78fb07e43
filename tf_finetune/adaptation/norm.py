"""The adapter `norm`: scales and shifts of normalization layers.

Source: Mudrakarta et al. 2018, "K for the Price of 1"; Frankle et al. 2020,
"Training BatchNorm and Only BatchNorm".
"""

import keras
import numpy as np

from tf_finetune.adaptation import carrier
from tf_finetune.config import model_options

NORMS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)
"""Layers that multiply by γ and add β."""


def adapt_layer(
    site: carrier.Site, options: model_options.ModelOptions
) -> list[carrier.Change]:
    """Changes a normalization layer by γ ↦ γ + δγ, β ↦ β + δβ.

    Its statistics stay.

    Args:
        site: The layer.
        options: Not read.

    Returns:
        One change for each of γ and β that the layer has; none for a layer of
        another kind.
    """
    del options
    if not isinstance(site.layer, NORMS):
        return []
    named = {"gamma": site.layer.gamma, "beta": site.layer.beta}
    return [
        add_delta(site, name, variable)
        for name, variable in named.items()
        if variable is not None
    ]


def add_delta(
    site: carrier.Site, name: str, variable: keras.Variable
) -> carrier.Change:
    """Makes the change v ↦ v + δ of a variable; δ = 0 before training.

    Args:
        site: The layer.
        name: Name of the variable in it.
        variable: The variable.
    """
    zeros = np.zeros(variable.shape, "float32")
    delta = keras.Variable(zeros, dtype="float32", name=f"{name}_delta")
    return carrier.Change(
        site=site,
        target=variable,
        variable=name,
        numbers={"delta": delta},
        compute=lambda value, theta: value + theta["delta"],
    )
