"""Parser of `--head_layers`; does not import Keras."""

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Literal

from tf_finetune import errors

LayerKind = Literal[
    "dense", "activation", "dropout", "batch_norm", "layer_norm"
]

ACTIVATIONS = (
    "elu",
    "gelu",
    "hard_swish",
    "leaky_relu",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "softplus",
    "swish",
    "tanh",
)
"""Names of Keras activations that make sense between two dense layers."""

# Candidates of "Did you mean …?".
_WORDS = (*ACTIVATIONS, "batch_norm", "dropout:0.3", "layer_norm")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """Specification of one layer of a head.

    Attributes:
        kind: Type of the layer.
        units: Number of units of a dense layer.
        share: Dropout rate: share of the features set to zero, 0..1.
        activation: Name of the Keras activation of an activation layer.
    """

    kind: LayerKind
    units: int = 0
    share: float = 0.0
    activation: str = ""


def parse_layers(tokens: Sequence[str]) -> tuple[LayerSpec, ...]:
    """Parses the words of `--head_layers`.

    Args:
        tokens: Such as ("512", "relu", "dropout:0.3").

    Returns:
        One specification per word, in order.

    Raises:
        UsageError: A word is not a layer.
    """
    return tuple(_parse_layer(token, tokens) for token in tokens)


def _parse_layer(token: str, tokens: Sequence[str]) -> LayerSpec:
    if token in ACTIVATIONS:
        return LayerSpec(kind="activation", activation=token)
    if token in ("batch_norm", "layer_norm"):
        return LayerSpec(kind=token)
    # Also "٣" is decimal for Python; only 0-9 are meant.
    if token.isdecimal() and token.isascii() and int(token) > 0:
        return LayerSpec(kind="dense", units=int(token))
    name, colon, text = token.partition(":")
    if name == "dropout":
        share = _parse_number(text)
        if colon and share is not None and 0 <= share < 1:
            return LayerSpec(kind="dropout", share=share)
        raise _layer_error(
            token,
            tokens,
            "Write dropout:SHARE with a share from 0 to below 1, e.g. "
            "dropout:0.3.",
        )
    near = difflib.get_close_matches(token, _WORDS, n=1)
    raise _layer_error(
        token,
        tokens,
        (f"Did you mean {near[0]!r}? " if near else "")
        + "Possible are whole numbers above 0 (dense layers of so many "
        "units), dropout:SHARE, batch_norm, layer_norm and the activations "
        f"{', '.join(ACTIVATIONS)}.",
    )


def _parse_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _layer_error(
    token: str, tokens: Sequence[str], advice: str
) -> errors.UsageError:
    return errors.UsageError(
        f"{token!r} in --head_layers={','.join(tokens)} is not a layer. "
        f"{advice}"
    )
