"""Layer names of Keras 1 and early Keras 2, translated into those of today.

ResNets were res3b_branch2a, bn3b_branch2a until keras-applications 1.0.7; their
batch norm had Keras' epsilon of 1e-3. Those converted from Caffe have a layer
scale3b_branch2a behind each norm, whose γ and β belong into it, and the
epsilon 1.1e-5.
Source: github.com/fchollet/deep-learning-models, resnet50.py;
github.com/flyyufelix/cnn_finetune, resnet_152.py.
"""

import dataclasses
import re
from collections.abc import Iterable

from tf_finetune.weights import saved_weights

_EPSILON = 1e-3
_CAFFE_EPSILON = 1.1e-5
_LAYER = re.compile(r"(res|bn|scale)([2-5])([a-z])(\d*)_branch(1|2[abc])")
_BRANCHES = {"1": "0", "2a": "1", "2b": "2", "2c": "3"}
_STEM = {"conv1": "conv1_conv", "bn_conv1": "conv1_bn"}
_SCALE_PREFIX = "scale"
# Class names as they occur in numbered names, such as convolution2d_3.
_BASES = {
    "convolution2d": "conv2d",
    "batchnormalization": "batch_normalization",
    "separableconvolution2d": "separable_conv2d",
    "depthwiseconv2d": "depthwise_conv2d",
}


def translate_names(names: Iterable[str]) -> dict[str, str]:
    """Translates old names of layers; those that are still in use are left out.

    Args:
        names: Of all layers of a file: "conv1" alone may be anything.
    """
    found = {}
    for name in names:
        if match := _LAYER.fullmatch(name):
            found[name] = _build_name(*match.groups())
        elif (split := re.fullmatch(r"([a-z0-9]+?)(_\d+)?", name)) and (
            split[1] in _BASES
        ):
            found[name] = _BASES[split[1]] + (split[2] or "")
    if any(_LAYER.fullmatch(name) for name in found):
        found |= {old: new for old, new in _STEM.items() if old in names}
    return found


def join_scales(file: saved_weights.SavedWeights) -> saved_weights.SavedWeights:
    """Merges the Scale layers of an old ResNet file into its batch norms.

    A file without a config gets the epsilon of its time.
    """
    names = [layer.name or "" for layer in file.layers]
    if not any(_LAYER.fullmatch(name) for name in names):
        return file
    scales = {
        _find_norm_name(layer.name): layer.arrays
        for layer in file.layers
        if (layer.name or "").startswith(_SCALE_PREFIX)
        and len(layer.arrays) == 2
    }
    kept = []
    for layer in file.layers:
        if _find_norm_name(layer.name or "") in scales:
            continue
        if layer.name in scales and len(layer.arrays) == 4:
            gamma, beta, mean, variance = layer.arrays
            factor, offset = scales[layer.name]
            # (γ x + β) f + o = γf x + (βf + o), x the normalized input.
            joined = (gamma * factor, beta * factor + offset, mean, variance)
            layer = dataclasses.replace(layer, arrays=joined)
        kept.append(layer)
    epsilon = _CAFFE_EPSILON if scales else _EPSILON
    return dataclasses.replace(file, layers=tuple(kept), epsilon=epsilon)


def _find_norm_name(scale: str) -> str | None:
    """Returns the batch norm in front of a Scale: bn_conv1 of scale_conv1."""
    if not scale.startswith(_SCALE_PREFIX):
        return None
    return "bn" + scale.removeprefix(_SCALE_PREFIX)


def _build_name(
    kind: str, stage: str, letter: str, number: str, branch: str
) -> str:
    # Blocks of deep stages are named a, b1, b2, …
    block = ord(letter) - ord("a") + 1 if not number else int(number) + 1
    end = "conv" if kind == "res" else "bn"
    return f"conv{stage}_block{block}_{_BRANCHES[branch]}_{end}"
