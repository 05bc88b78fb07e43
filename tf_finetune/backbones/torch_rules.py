"""Differences between torchvision's graphs and ours, by backbone.

Source: github.com/pytorch/vision, torchvision/models (0.28). The published
GoogLeNet and Inception v3 take pictures in [-1, 1]: with weights, constructors
set "transform_input", of which a state dict says nothing.
"""

import dataclasses

from tf_finetune import errors
from tf_finetune.backbones import backbone

_RESNET = backbone.TorchRules(
    epsilon=1e-5, strides_in_3x3=True, drops_biases=True
)
# Keras' epsilon is 1.001e-5 in ResNet and DenseNet, 1e-3 in MobileNetV2.
_DENSENET = backbone.TorchRules(epsilon=1e-5)
_MOBILENET_V2 = backbone.TorchRules(epsilon=1e-5, pads_both_sides=True)
# momentum=0.01 and eps=0.001 in torchvision/models/mobilenetv3.py; both are
# also those of EfficientNet-B5 to B7.
_MOBILENET_V3 = backbone.TorchRules(momentum=0.99, pads_both_sides=True)
_VGG = backbone.TorchRules(keeps_layers=True)

# Epsilon is set in the graph: folded into the variance, v + 1e-5 - 1e-3 could
# be negative.
RULES = {
    "densenet121": _DENSENET,
    "densenet169": _DENSENET,
    "densenet201": _DENSENET,
    **{f"efficientnet_b{n}": _MOBILENET_V2 for n in range(5)},
    **{f"efficientnet_b{n}": _MOBILENET_V3 for n in range(5, 8)},
    "googlenet": backbone.TorchRules(preprocessing="tf", keeps_layers=True),
    "inception_v3": backbone.TorchRules(
        preprocessing="tf", norms_scale=True, pools_padding=True
    ),
    "mobilenet_v2": _MOBILENET_V2,
    "mobilenet_v3_large": _MOBILENET_V3,
    "mobilenet_v3_small": _MOBILENET_V3,
    "resnet50": _RESNET,
    "resnet101": _RESNET,
    "resnet152": _RESNET,
    "vgg16": _VGG,
    "vgg19": _VGG,
}
"""Differences by backbone; other graphs are torchvision's, or it has none."""


def convert_spec(
    spec: backbone.BackboneSpec, name: str
) -> backbone.BackboneSpec:
    """Makes the spec of a backbone that has torchvision's graph.

    Args:
        spec: Spec of the backbone in Keras' graph.
        name: Name under which that is registered, e.g. "resnet50".

    Returns:
        A new spec named "NAME+torch", with torchvision's preprocessing and
        rules, without width multipliers and without weights to download.

    Raises:
        UsageError: torchvision has no graph of this network that differs.
    """
    if name not in RULES:
        raise errors.UsageError(
            f"--backbone={name}+torch: there is no graph of torchvision's for "
            "it that differs from its own. There are: "
            f"{', '.join(sorted(RULES))}."
        )
    return dataclasses.replace(
        spec,
        name=f"{name}+torch",
        preprocessing=RULES[name].preprocessing,
        alphas=(),
        weights_url=None,
        weights_hash=None,
        torch_rules=RULES[name],
    )
