"""Mixed precision of the backbone while training, and only then.

The model that a run builds, keeps, evaluates and exports is float32. While
`fit` runs, the layers of its backbone compute in half precision on the same
float32 weights. So nothing has to be converted afterwards, and no artifact can
carry a policy that it was only trained in.

Source: Micikevicius et al. 2018, "Mixed Precision Training", section 3
(float32 weights, loss scaling).
"""

import contextlib
from collections.abc import Iterator

import keras

# Scaling of pixels stays in float32: float16 has 11 bits for 0..255.
_PREPROCESSING = (keras.layers.Rescaling, keras.layers.Normalization)


@contextlib.contextmanager
def apply_policy(model: keras.Model, policy: str) -> Iterator[None]:
    """Sets the dtype policy of a model's float32 layers within a block.

    A function is traced with the policy in force when it first runs: it has
    to run for the first time inside the block to compute in `policy`.

    Args:
        model: The backbone. Layers behind it (pooling, head) are not its own
            and stay in float32, and so do logits and losses.
        policy: "float32" changes nothing.
    """
    changed = [each for each in _list_layers(model) if _takes_policy(each)]
    before = [layer.dtype_policy for layer in changed]
    try:
        if policy != "float32":
            for layer in changed:
                layer.dtype_policy = policy
        yield
    finally:
        for layer, own in zip(changed, before, strict=True):
            layer.dtype_policy = own


def add_loss_scaling(
    optimizer: keras.optimizers.Optimizer, policy: str
) -> keras.optimizers.Optimizer:
    """Wraps the optimizer with loss scaling if `policy` is float16.

    Keras does so only for a model whose own policy is mixed_float16.
    """
    # Small gradients vanish in float16 (5 bits of exponent); bfloat16 has the
    # range of float32 (8 bits).
    if policy != "mixed_float16":
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


def _takes_policy(layer: keras.Layer) -> bool:
    return (
        layer.dtype_policy.name == "float32"
        and not isinstance(layer, keras.Model)
        and not isinstance(layer, _PREPROCESSING)
    )


def _list_layers(model: keras.Model) -> list[keras.Layer]:
    """Returns the layers of a model at any depth.

    `Model.layers` omits those inside a composed layer, which would stay in
    float32 if only the layer around them changed.
    """
    return model._flatten_layers(include_self=False)
