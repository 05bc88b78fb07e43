"""Networks identified by the arrays in a PyTorch file, before any is built.

The key is the number of arrays and of parameters, both without classifiers, so
that a file with another number of classes is recognized.
"""

import math

from tf_finetune.backbones import catalog
from tf_finetune.weights.torch import families, reader

# Arrays of classifiers in files of torchvision, timm and others, and of the
# auxiliary classifiers of GoogLeNet and Inception v3.
_TOPS = (
    *("fc.", "classifier.", "head.", "heads.", "linear.", "last_linear."),
    "_fc.",
    *("AuxLogits.", "aux1.", "aux2."),
)
_CLASSIFIERS = ("fc", "linear", "last_linear", "head.fc", "classifier", "_fc")

# Network, arrays, parameters: scripts/write_torch_golden.py --architectures;
# those of EfficientNet-Lite are of the published files and the graphs here.
_TABLE = """
cifar_resnet20 95 270448
cifar_resnet56 275 856432
alexnet 10 2469696
convnext_base 340 87564416
convnext_large 340 196227264
convnext_small 340 49453152
convnext_tiny 178 27818592
densenet121 604 7037504
densenet161 804 26691936
densenet169 844 12642880
densenet201 1004 18321984
efficientnet_b0 309 4049564
efficientnet_b1 437 6575232
efficientnet_b2 437 7768562
efficientnet_b3 494 10783528
efficientnet_b4 608 17673816
efficientnet_b5 736 28513520
efficientnet_b6 850 40960136
efficientnet_b7 1035 64097680
efficientnet_lite0 245 3413024
efficientnet_lite1 320 4189344
efficientnet_lite2 320 4869168
efficientnet_lite3 365 6992768
efficientnet_lite4 455 11837936
efficientnet_v2_l 1329 117746848
efficientnet_v2_m 961 53150388
efficientnet_v2_s 670 20331360
googlenet 285 5614464
inception_v3 470 21820000
mnasnet0_5 260 958136
mnasnet0_75 260 1919016
mnasnet1_0 260 3140232
mnasnet1_3 260 5050072
mobilenet_v2 260 2257984
mobilenet_v3_large 262 2996352
mobilenet_v3_small 206 939120
resnet101 520 42605504
resnet152 775 58295232
resnet18 100 11186112
resnet34 180 21301696
resnet50 265 23561152
resnext101_32x8d 520 86945216
resnext101_64x4d 520 81609152
resnext50_32x4d 265 23048128
shufflenet_v2_x0_5 280 349744
shufflenet_v2_x1_0 280 1269784
shufflenet_v2_x1_5 280 2502064
shufflenet_v2_x2_0 280 5378712
squeezenet1_0 50 735424
squeezenet1_1 50 722496
vgg11 16 9220480
vgg11_bn 48 9231488
vgg13 20 9404992
vgg13_bn 60 9416768
vgg16 26 14714688
vgg16_bn 78 14731584
vgg19 32 20024384
vgg19_bn 96 20046400
wide_resnet101_2 520 124975552
wide_resnet50_2 265 66902464
"""


def identify(file: reader.StateDict) -> str | None:
    """Identifies the network in a PyTorch file by its arrays and parameters.

    Args:
        file: Arrays from `reader.read_state_dict`.

    Returns:
        Name of the architecture, e.g. "resnet50", which need not be one of the
        backbones; None if it is not in the table.
    """
    return _read_table().get(_compute_signature(file))


def list_backbones() -> list[str]:
    """Lists the names of backbones that can be loaded from PyTorch files."""
    return sorted(
        name for name in catalog.BACKBONES.names() if families.find_family(name)
    )


def describe(file: reader.StateDict) -> str:
    """Describes a file's arrays for a message: number, first one, classifier.

    Args:
        file: Arrays from `reader.read_state_dict`; one at least.

    Returns:
        Such as "the weights (102 arrays, conv1.weight [64, 3, 7, 7], fc.weight
        [1000, 512])".
    """
    first = next(iter(file.arrays))
    words = [
        f"{len(file.arrays)} arrays",
        f"{first} {list(file.arrays[first].shape)}",
    ]
    for name in _CLASSIFIERS:
        array = file.arrays.get(f"{name}.weight")
        if array is not None:
            words.append(f"{name}.weight {list(array.shape)}")
    return f"the weights ({', '.join(words)})"


def _read_table() -> dict[tuple[int, int], str]:
    found = {}
    for line in _TABLE.strip().splitlines():
        name, arrays, parameters = line.split()
        found[int(arrays), int(parameters)] = name
    return found


def _compute_signature(file: reader.StateDict) -> tuple[int, int]:
    sizes = [
        math.prod(array.shape)
        for name, array in file.arrays.items()
        # num_batches_tracked: a counter, which files before PyTorch 0.4.1 lack.
        if not name.startswith(_TOPS) and not name.endswith("_tracked")
    ]
    return len(sizes), sum(sizes)
