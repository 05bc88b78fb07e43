"""The adapter `bias`: biases, and shifts of normalization layers.

Source: Ben-Zaken et al. 2021, "BitFit: Simple Parameter-efficient Fine-tuning
for Transformer-based Masked Language-models".
"""

from tf_finetune.adaptation import carrier, kernels, norm
from tf_finetune.config import model_options


def adapt_layer(
    site: carrier.Site, options: model_options.ModelOptions
) -> list[carrier.Change]:
    """Changes the bias of a layer by b ↦ b + δ.

    Args:
        site: The layer.
        options: Not read.

    Returns:
        One change: of the bias of a layer with a kernel, or of β of a
        normalization layer. None where there is no bias, or where a batch norm
        follows, whose β does the same.
    """
    del options
    layer = site.layer
    if isinstance(layer, norm.NORMS):
        name, variable = "beta", layer.beta
    elif kernels.list_kernels(layer) and not site.feeds_batch_norm:
        name, variable = "bias", layer.bias
    else:
        return []
    return [] if variable is None else [norm.add_delta(site, name, variable)]
