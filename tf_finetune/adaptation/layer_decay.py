"""Layer-wise decay of the learning rate over the depth of a backbone.

Early layers hold features of all pictures, late ones those of the pretraining
task: the further a layer lies from the head, the less it should move (Howard
and Ruder 2018, "Universal Language Model Fine-tuning", section 3.2; Clark et
al. 2020, "ELECTRA", section 3.1).
"""

import keras

REFERENCE_DEPTH = 27
"""Layers of the network for which `--layer_decay` is the factor per layer.

MobileNet has 27 layers with kernels; 0.9 was measured there. A fixed factor per
layer would leave a network of twice the depth a stem that hardly moves, so that
the factor is one of relative depth.
"""


def compute_factors(backbone: keras.Model, decay: float) -> dict[str, float]:
    """Computes the factor of the learning rate of each layer of a backbone.

    Depth is counted in layers with a kernel (a weight of two or more axes); a
    layer without one, such as a norm, has the factor of the kernel before it.

    Args:
        backbone: The network, its layers in the order of the graph.
        decay: Factor per layer of a network of 27 layers, above 0, at most 1.

    Returns:
        By the name of each layer with weights a factor in 0..1: `decay` to the
        power 27 for the first layer of any network, about 1 for the last.
    """
    weighted = [layer for layer in backbone.layers if layer.weights]
    depths, depth = {}, -1
    for layer in weighted:
        depth += any(len(weight.shape) > 1 for weight in layer.weights)
        depths[layer.name] = max(depth, 0)
    count = depth + 1
    # Factor of layer l of L: decay^(27 (L - l) / L), l = 0 … L - 1.
    return {
        name: decay ** (REFERENCE_DEPTH * (1 - depth / max(count, 1)))
        for name, depth in depths.items()
    }
