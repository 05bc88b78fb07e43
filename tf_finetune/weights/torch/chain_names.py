"""Names of torchvision's numbered modules, by the names of Keras' layers.

Each rule is a pattern that a layer's whole name matches, and a function from
the match to the module's name in a state dict.

Source: github.com/pytorch/vision, torchvision/models (0.28): alexnet.py,
vgg.py, mobilenetv2.py, mobilenetv3.py, efficientnet.py.
"""

import re
from collections.abc import Callable, Collection, Sequence

Rule = tuple[str, Callable[[re.Match[str]], str]]

# Of `features` in alexnet.py; activations and poolings lie between them.
_ALEXNET_PLACES = ("0", "3", "6", "8", "10")


def list_alexnet_rules() -> tuple[Rule, ...]:
    """Lists naming rules, Keras layer → torchvision module, of AlexNet.

    Its layers are "conv1" … "conv5".
    """
    return (
        (
            r"conv([1-5])",
            lambda m: f"features.{_ALEXNET_PLACES[int(m[1]) - 1]}",
        ),
    )


def list_vgg_rules(depths: Sequence[int]) -> tuple[Rule, ...]:
    """Lists naming rules, layer → module, of a VGG without batch norm.

    Args:
        depths: Number of convolutions of each block.
    """

    def name(found: re.Match[str]) -> str:
        block, number = int(found[1]), int(found[2])
        # An activation follows each convolution, a pooling each block.
        before = sum(2 * depth + 1 for depth in depths[: block - 1])
        return f"features.{before + 2 * (number - 1)}"

    return ((r"block(\d)_conv(\d)", name),)


def list_mobilenet_v2_rules() -> tuple[Rule, ...]:
    """Lists naming rules, Keras layer → torchvision module, of MobileNetV2."""
    return (
        (r"(bn_)?Conv1", lambda m: f"features.0.{_index_norm(m[1])}"),
        (r"Conv_1(_bn)?", lambda m: f"features.18.{_index_norm(m[1])}"),
        (
            r"(?:expanded_conv|block_(\d+))_(expand|depthwise|project)(_BN)?",
            _name_inverted_residual,
        ),
    )


def list_mobilenet_v3_rules(
    blocks: int, with_squeeze: Collection[int]
) -> tuple[Rule, ...]:
    """Lists naming rules, layer → module, of a MobileNetV3.

    Args:
        blocks: Number of its blocks.
        with_squeeze: Indices of those with squeeze-and-excitation, from 0.
    """

    def name(found: re.Match[str]) -> str:
        block, part = int(found[1] or 0), found[2]
        parts = [
            *(["expand"] if block else []),
            "depthwise",
            *(["squeeze_excite"] if block in with_squeeze else []),
            "project",
        ]
        kind = part.partition("_conv")[0]
        # The block of squeeze-and-excitation has two convolutions, no norm.
        last = _index_norm(found[3])
        if kind == "squeeze_excite":
            last = "fc2" if part.endswith("_1") else "fc1"
        return f"features.{block + 1}.block.{parts.index(kind)}.{last}"

    return (
        (r"conv(_bn)?", lambda m: f"features.0.{_index_norm(m[1])}"),
        (
            r"conv_1(_bn)?",
            lambda m: f"features.{blocks + 1}.{_index_norm(m[1])}",
        ),
        (
            r"expanded_conv(?:_(\d+))?_"
            r"(expand|depthwise|squeeze_excite_conv(?:_1)?|project)(_bn)?",
            name,
        ),
    )


def list_efficientnet_rules() -> tuple[Rule, ...]:
    """Lists naming rules, layer → module, of EfficientNet-B0 to B7."""
    return (
        (r"stem_(conv|bn)", lambda m: f"features.0.{'01'[m[1] == 'bn']}"),
        (r"top_(conv|bn)", lambda m: f"features.8.{'01'[m[1] == 'bn']}"),
        (
            r"block(\d)([a-z])_(expand_|project_|dw|se_)?"
            r"(conv|bn|reduce|expand)",
            _name_efficientnet_layer,
        ),
    )


def _index_norm(sign: str | None) -> str:
    """Returns the place within a module: convolution 0, its norm 1."""
    return "1" if sign else "0"


def _name_inverted_residual(found: re.Match[str]) -> str:
    number, part, norm = found.groups()
    # Keras counts from 0; the stem is torchvision's features.0.
    module = f"features.{int(number or 0) + 1}.conv"
    # The first block has no expansion.
    parts = ("depthwise", "project") if number is None else _INVERTED_PARTS
    place = parts.index(part)
    if part == "project":  # Not a module of its own: conv.2, then its norm.
        return f"{module}.{place + bool(norm)}"
    return f"{module}.{place}.{_index_norm(norm)}"


_INVERTED_PARTS = ("expand", "depthwise", "project")


def _name_efficientnet_layer(found: re.Match[str]) -> str:
    stage, letter, part, kind = found.groups()
    # "block1a_bn" is the norm of the depthwise convolution.
    part = {None: "dw"}.get(part, part)
    parts = ("dw", "se_", "project_")
    # Only the first stage has no expansions.
    parts = parts if stage == "1" else ("expand_", *parts)
    last = {"bn": "1", "reduce": "fc1", "conv": "0"}.get(kind, "fc2")
    block = ord(letter) - ord("a")
    return f"features.{stage}.{block}.block.{parts.index(part)}.{last}"
