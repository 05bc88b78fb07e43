"""Mixed precision while training, and only then.

The model that a run builds, keeps, evaluates and exports is float32. While
`fit` runs, the layers of its backbone compute in half precision on the same
float32 weights. So nothing has to be converted afterwards, and no artefact can
carry a policy that it was only trained in.

Source: Micikevicius et al. 2018, "Mixed Precision Training", section 3
(float32 weights, loss scaling).
"""

import contextlib
from collections.abc import Iterator

import keras

# Pixels of 0..255 need more bits than half precision has behind the point.
_PREPROCESSING = (keras.layers.Rescaling, keras.layers.Normalization)


@contextlib.contextmanager
def computing(model: keras.Model, policy: str) -> Iterator[None]:
    """Lets the float32 layers of a model compute in `policy` for a while.

    A function is compiled for what is set when it first runs: whatever must
    compute in `policy` has to run for the first time inside the block.

    Args:
        model: The backbone. Layers behind it (pooling, head) are not its own
            and stay in float32, and so do logits and losses.
        policy: "float32" changes nothing.
    """
    changed = [each for each in _layers(model) if _is_to_change(each)]
    before = [layer.dtype_policy for layer in changed]
    try:
        if policy != "float32":
            for layer in changed:
                layer.dtype_policy = policy
        yield
    finally:
        for layer, own in zip(changed, before, strict=True):
            layer.dtype_policy = own


def scaled(
    optimizer: keras.optimizers.Optimizer, policy: str
) -> keras.optimizers.Optimizer:
    """Adds loss scaling where gradients could vanish in `policy`.

    Keras does so only for a model whose own policy is mixed_float16.
    """
    if policy != "mixed_float16":
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


def _is_to_change(layer: keras.Layer) -> bool:
    return (
        layer.dtype_policy.name == "float32"
        and not isinstance(layer, keras.Model)
        and not isinstance(layer, _PREPROCESSING)
    )


def _layers(model: keras.Model) -> list[keras.Layer]:
    """Returns the layers of a model at any depth.

    `Model.layers` does not show those inside a composed layer, which would
    go on in float32 when only the layer around them changes.
    """
    return model._flatten_layers(include_self=False)
