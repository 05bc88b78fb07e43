"""Layers of our backbones and their modules in torchvision's state dicts.

A family's names are given by patterns of the names of layers. Those of
Inception v3 say nothing: its modules are listed as they are built.
"""

import dataclasses
import re

from tf_finetune.weights.torch import chain_names


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """Rules from Keras' layers to PyTorch's modules, for networks of one kind.

    One of `rules` and `modules` is given.

    Attributes:
        rules: Pairs of a pattern that a layer's whole name matches and a
            function from the match to the module's name; () where layers and
            modules are matched by order.
        modules: Names of all modules in the order in which Keras builds their
            convolutions, each with a `conv` and a `bn` inside; else ().
        tops: Prefixes of the classifier's arrays, which a new head replaces.
        needed: Arrays below `tops` that the backbone keeps nevertheless.
    """

    rules: tuple[chain_names.Rule, ...] = ()
    modules: tuple[str, ...] = ()
    tops: tuple[str, ...] = ("fc.", "classifier.")
    needed: tuple[str, ...] = ()


def find_family(backbone: str) -> Family | None:
    """Finds the family whose naming rules apply to a backbone.

    Args:
        backbone: Name such as "resnet50"; "+torch" and the like are ignored.

    Returns:
        The family; None if the backbone has no rules for PyTorch files.
    """
    name = backbone.partition("+")[0]
    for pattern, family in _FAMILIES:
        if re.fullmatch(pattern, name):
            return family
    return None


def find_module(family: Family, layer: str) -> str | None:
    """Finds the module in a PyTorch file that holds a layer's arrays.

    Args:
        family: Family with `rules`.
        layer: Name of the Keras layer, e.g. "conv2_block1_1_conv".

    Returns:
        Name of the module, e.g. "layer1.0.conv1"; None if no rule matches.
    """
    for pattern, make_name in family.rules:
        if found := re.fullmatch(pattern, layer):
            return make_name(found)
    return None


def _less(text: str, number: int = 1) -> int:
    return int(text) - number


def _name_residual(found: re.Match[str]) -> str:
    # Keras counts the stem as stage 1 and blocks from 1; torchvision's layer1
    # is stage 2, and its blocks count from 0.
    stage, block, place, kind = found.groups()
    module = f"layer{_less(stage)}.{_less(block)}"
    if place == "0":
        return f"{module}.downsample.{'01'[kind == 'bn']}"
    return f"{module}.{kind}{place}"


def _name_dense_layer(found: re.Match[str]) -> str:
    stage, block, place, kind = found.groups()
    # In order: 0_bn, 1_conv, 1_bn, 2_conv.
    number = int(place) + 1 if kind == "bn" else int(place)
    word = "norm" if kind == "bn" else "conv"
    return f"features.denseblock{_less(stage)}.denselayer{block}.{word}{number}"


def _name_transition(found: re.Match[str]) -> str:
    stage, kind = found.groups()
    word = "norm" if kind == "bn" else "conv"
    return f"features.transition{_less(stage)}.{word}"


def _name_branch(found: re.Match[str]) -> str:
    block, branch, reduces, kind = found.groups()
    module = f"inception{block}.branch{branch}"
    # Branches 2 and 3: 1x1 reduction, then convolution; 4: pooling, then 1x1.
    if branch in "23":
        module += ".0" if reduces else ".1"
    elif branch == "4":
        module += ".1"
    return f"{module}.{kind}"


def _name_convnext_block(found: re.Match[str]) -> str:
    # torchvision's `features` alternates downsampling (0, 2, 4, 6) and stages
    # (1, 3, 5, 7).
    stage, block, part = found.groups()
    module = f"features.{2 * int(stage) + 1}.{block}"
    return f"{module}.{_CONVNEXT_PARTS[part]}"


_CONVNEXT_PARTS = {
    "depthwise_conv": "block.0",
    "layernorm": "block.2",
    "pointwise_conv_1": "block.3",
    "pointwise_conv_2": "block.5",
    # The array is the block's own, not that of a module.
    "layer_scale": "layer_scale",
}

_LITE_PARTS = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}

_RESNET = Family(
    rules=(
        (r"conv1(?:_conv)?_(bn)|conv1_conv", lambda m: f"{m[1] or 'conv'}1"),
        (r"conv(\d)_block(\d+)_(\d)_(conv|bn)", _name_residual),
    )
)
_CIFAR_RESNET = Family(rules=_RESNET.rules, tops=("linear.", "fc."))
_DENSENET = Family(
    rules=(
        (r"conv1_conv", lambda m: "features.conv0"),
        (r"conv1_bn", lambda m: "features.norm0"),
        (r"conv(\d)_block(\d+)_(\d)_(conv|bn)", _name_dense_layer),
        (r"pool(\d)_(conv|bn)", _name_transition),
        (r"bn", lambda m: "features.norm5"),
    )
)
_GOOGLENET = Family(
    rules=(
        (r"(conv\d)_(conv|bn)", lambda m: f"{m[1]}.{m[2]}"),
        (r"inception(\d\w)_(\d)(_reduce)?_(conv|bn)", _name_branch),
    ),
    tops=("fc.", "aux1.", "aux2."),
)
_CONVNEXT = Family(
    rules=(
        (r"\w+_stem_conv", lambda m: "features.0.0"),
        (r"\w+_stem_layernorm", lambda m: "features.0.1"),
        (
            r"\w+_downsampling_layernorm_(\d)",
            lambda m: f"features.{2 * int(m[1]) + 2}.0",
        ),
        (
            r"\w+_downsampling_conv_(\d)",
            lambda m: f"features.{2 * int(m[1]) + 2}.1",
        ),
        (
            rf"\w+_stage_(\d)_block_(\d+)_({'|'.join(_CONVNEXT_PARTS)})",
            _name_convnext_block,
        ),
        # Keras numbers it by a counter of the whole process.
        (r"layer_normalization(?:_\d+)?", lambda m: "classifier.0"),
    ),
    needed=("classifier.0.weight", "classifier.0.bias"),
)
_LITE = Family(
    rules=(
        (r"stem_conv", lambda m: "_conv_stem"),
        (r"stem_bn", lambda m: "_bn0"),
        (r"top_conv", lambda m: "_conv_head"),
        (r"top_bn", lambda m: "_bn1"),
        (
            r"block(\d+)_(expand|depthwise|project)_(conv|bn)",
            lambda m: f"_blocks.{m[1]}.{_LITE_PARTS[m[2]][m[3] == 'bn']}",
        ),
    ),
    tops=("_fc.",),
)
_VGG_DEPTHS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
# Number of blocks, and those with squeeze-and-excitation (table 1 and 2 of
# Howard et al. 2019, "Searching for MobileNetV3").
_V3_BLOCKS = {
    "mobilenet_v3_small": (11, (0, *range(3, 11))),
    "mobilenet_v3_large": (15, (3, 4, 5, *range(10, 15))),
}
# Blocks of the same kind, and the last parts of their modules' names.
_INCEPTION_BLOCKS = (
    (
        "Mixed_5b Mixed_5c Mixed_5d",
        "1x1 5x5_1 5x5_2 3x3dbl_1 3x3dbl_2 3x3dbl_3 _pool",
    ),
    ("Mixed_6a", "3x3 3x3dbl_1 3x3dbl_2 3x3dbl_3"),
    (
        "Mixed_6b Mixed_6c Mixed_6d Mixed_6e",
        "1x1 7x7_1 7x7_2 7x7_3 7x7dbl_1 7x7dbl_2 7x7dbl_3 7x7dbl_4 7x7dbl_5 "
        "_pool",
    ),
    ("Mixed_7a", "3x3_1 3x3_2 7x7x3_1 7x7x3_2 7x7x3_3 7x7x3_4"),
    (
        "Mixed_7b Mixed_7c",
        "1x1 3x3_1 3x3_2a 3x3_2b 3x3dbl_1 3x3dbl_2 3x3dbl_3a 3x3dbl_3b _pool",
    ),
)
_INCEPTION = Family(
    modules=(
        *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"),
        *("Conv2d_3b_1x1", "Conv2d_4a_3x3"),
        *(
            f"{block}.branch{branch}"
            for blocks, branches in _INCEPTION_BLOCKS
            for block in blocks.split()
            for branch in branches.split()
        ),
    ),
    tops=("fc.", "AuxLogits."),
)

_FAMILIES = (
    (r"resnet(?:18|34|50|101|152)", _RESNET),
    # Shortcuts of option A have no weights: no downsample to name.
    (r"cifar_resnet(?:20|56)", _CIFAR_RESNET),
    (r"densenet(?:121|169|201)", _DENSENET),
    (r"googlenet", _GOOGLENET),
    (r"convnext_(?:tiny|small|base|large)", _CONVNEXT),
    (r"inception_v3", _INCEPTION),
    (r"efficientnet_lite[0-4]", _LITE),
    (r"alexnet", Family(rules=chain_names.list_alexnet_rules())),
    *(
        (name, Family(rules=chain_names.list_vgg_rules(depths)))
        for name, depths in _VGG_DEPTHS.items()
    ),
    (r"mobilenet_v2", Family(rules=chain_names.list_mobilenet_v2_rules())),
    *(
        (name, Family(rules=chain_names.list_mobilenet_v3_rules(*blocks)))
        for name, blocks in _V3_BLOCKS.items()
    ),
    (
        r"efficientnet_b[0-7]",
        Family(rules=chain_names.list_efficientnet_rules()),
    ),
)
