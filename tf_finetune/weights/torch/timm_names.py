"""Names of timm's modules, translated to torchvision's.

For networks that are the same in both: EfficientNet-B0 to B4, MobileNetV2,
ConvNeXt and VGG; ResNet, DenseNet and Inception v3 have the same names.

Source: github.com/huggingface/pytorch-image-models, timm/models (1.0.31):
_efficientnet_builder.py, convnext.py, vgg.py.
"""

import re
from collections.abc import Callable, Mapping

import numpy as np

Rule = tuple[str, Callable[[re.Match[str]], str]]

# Blocks of the stages of MobileNetV2 (table 2 of Sandler et al. 2018).
_V2_DEPTHS = (1, 2, 3, 4, 3, 3, 1)
# Parts of a block in order: expansion, depthwise, projection, each a
# convolution and its norm. The first stage has no expansion.
_EXPANDED = {
    "conv_pw": (0, 0),
    "bn1": (0, 1),
    "conv_dw": (1, 0),
    "bn2": (1, 1),
    "conv_pwl": (2, 0),
    "bn3": (2, 1),
}
_PLAIN = {"conv_dw": (0, 0), "bn1": (0, 1), "conv_pw": (1, 0), "bn2": (1, 1)}
_SQUEEZE = {"se.conv_reduce": "fc1", "se.conv_expand": "fc2"}
_CONVNEXT_PARTS = {
    "conv_dw": "block.0",
    "norm": "block.2",
    "mlp.fc1": "block.3",
    "mlp.fc2": "block.5",
}


def has_ambiguous_graph(names: Mapping[str, np.ndarray]) -> bool:
    """Returns whether arrays of these names fit two networks of timm.

    timm's "efficientnet_b0" and "tf_efficientnet_b0" have the same names, and
    pad differently.
    """
    return "conv_stem.weight" in names


def translate_names(
    arrays: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Translates the names of timm's networks to torchvision's.

    Args:
        arrays: Arrays by name; it is not changed.

    Returns:
        The same arrays by torchvision's names, in the same order; unchanged
        where the names are none of timm's own.
    """
    rules = _find_rules(arrays)
    return {_translate(name, rules): array for name, array in arrays.items()}


def _find_rules(arrays: Mapping[str, np.ndarray]) -> tuple[Rule, ...]:
    if "stem.0.weight" in arrays and "head.norm.weight" in arrays:
        return _CONVNEXT
    if "pre_logits.fc1.weight" in arrays:
        return _VGG
    # MobileNetV3 ends in a convolution without expansion.
    if "conv_stem.weight" in arrays and "blocks.6.0.conv.weight" not in arrays:
        squeezes = "blocks.0.0.se.conv_reduce.weight" in arrays
        return _EFFICIENTNET if squeezes else _MOBILENET_V2
    return ()


def _translate(name: str, rules: tuple[Rule, ...]) -> str:
    module, _, part = name.rpartition(".")
    # `gamma` is an array of the block itself.
    for pattern, make_name in rules:
        if found := re.fullmatch(pattern, name):
            return make_name(found)
        if found := re.fullmatch(pattern, module):
            return f"{make_name(found)}.{part}"
    return name


def _name_v2_block(found: re.Match[str]) -> str:
    stage, block, part = int(found[1]), int(found[2]), found[3]
    number = 1 + sum(_V2_DEPTHS[:stage]) + block
    place, is_norm = (_PLAIN if stage == 0 else _EXPANDED)[part]
    # torchvision's projection and its norm are modules of the block's own.
    last = place == (1 if stage == 0 else 2)
    inner = f"{place + is_norm}" if last else f"{place}.{is_norm}"
    return f"features.{number}.conv.{inner}"


def _name_efficientnet_block(found: re.Match[str]) -> str:
    stage, block, part = int(found[1]), found[2], found[3]
    parts = _PLAIN if stage == 0 else _EXPANDED
    squeeze = 1 if stage == 0 else 2  # Behind the depthwise convolution.
    if part in _SQUEEZE:
        inner = f"{squeeze}.{_SQUEEZE[part]}"
    else:
        place, is_norm = parts[part]
        inner = f"{place + (place == squeeze)}.{is_norm}"
    return f"features.{stage + 1}.{block}.block.{inner}"


def _list_stem_rules(last: int) -> tuple[Rule, ...]:
    return (
        (r"conv_stem", lambda m: "features.0.0"),
        (r"bn1", lambda m: "features.0.1"),
        (r"conv_head", lambda m: f"features.{last}.0"),
        (r"bn2", lambda m: f"features.{last}.1"),
        (r"classifier", lambda m: "classifier.1"),
    )


_MOBILENET_V2 = (
    *_list_stem_rules(18),
    (r"blocks\.(\d)\.(\d)\.(conv_\w+|bn\d)", _name_v2_block),
)
_EFFICIENTNET = (
    *_list_stem_rules(8),
    (
        r"blocks\.(\d)\.(\d+)\.(conv_\w+|bn\d|se\.conv_\w+)",
        _name_efficientnet_block,
    ),
)
_CONVNEXT = (
    (r"stem\.(\d)", lambda m: f"features.0.{m[1]}"),
    (
        r"stages\.(\d)\.downsample\.(\d)",
        lambda m: f"features.{2 * int(m[1])}.{m[2]}",
    ),
    (
        r"stages\.(\d)\.blocks\.(\d+)\.gamma",
        lambda m: f"features.{2 * int(m[1]) + 1}.{m[2]}.layer_scale",
    ),
    (
        r"stages\.(\d)\.blocks\.(\d+)\.(conv_dw|norm|mlp\.fc[12])",
        lambda m: (
            f"features.{2 * int(m[1]) + 1}.{m[2]}.{_CONVNEXT_PARTS[m[3]]}"
        ),
    ),
    (r"head\.norm", lambda m: "classifier.0"),
    (r"head\.fc", lambda m: "classifier.2"),
)
_VGG = (
    (r"pre_logits\.fc1", lambda m: "classifier.0"),
    (r"pre_logits\.fc2", lambda m: "classifier.3"),
    (r"head\.fc", lambda m: "classifier.6"),
)
