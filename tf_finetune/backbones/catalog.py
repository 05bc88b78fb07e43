"""Catalog of the backbones: a line of facts each, without TensorFlow."""

import dataclasses
import re

from tf_finetune import errors, registry
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import (
    efficientnet_lite_specs,
    imagenet_accuracies,
    torch_rules,
)

_HOST = "https://storage.googleapis.com"
_KERAS = f"{_HOST}/tensorflow/keras-applications"

# By family of keras.applications: preprocessing, smallest image side in pixels,
# URL of its ImageNet weights without top.
_FAMILIES = {
    "convnext": ("in_graph", 32, f"{_KERAS}/convnext/%s_notop.h5"),
    "densenet": (
        "torch",
        32,
        f"{_KERAS}/densenet/%s_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ),
    "efficientnet": (
        "in_graph",
        32,
        f"{_HOST}/keras-applications/%s_notop.h5",
    ),
    "efficientnet_v2": (
        "in_graph",
        32,
        f"{_KERAS}/efficientnet_v2/%s_notop.h5",
    ),
    "inception": (
        "tf",
        75,
        f"{_KERAS}/%s_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ),
    "mobilenet": ("tf", 32, f"{_KERAS}/mobilenet/%s_tf_no_top.h5"),
    "mobilenet_v2": ("tf", 32, f"{_KERAS}/mobilenet_v2/%s_no_top.h5"),
    "mobilenet_v3": (
        "in_graph",
        32,
        f"{_KERAS}/mobilenet_v3/weights_%s_float_no_top_v2.h5",
    ),
    "nasnet": ("tf", 32, f"{_KERAS}/nasnet/%s-no-top.h5"),
    "resnet": (
        "caffe",
        32,
        f"{_KERAS}/resnet/%s_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ),
    "resnet_v2": (
        "tf",
        32,
        f"{_KERAS}/resnet/%s_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ),
    "vgg": (
        "caffe",
        32,
        f"{_KERAS}/%s_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ),
    "xception": (
        "tf",
        71,
        f"{_KERAS}/%s_weights_tf_dim_ordering_tf_kernels_notop.h5",
    ),
}

# Name, class in keras.applications, family, image size, first digits of the
# weights' hash (MD5; SHA-256 for ConvNeXt; - where Keras gives none), file.
_TABLE = """
convnext_tiny ConvNeXtTiny convnext 224 d547c096 convnext_tiny
convnext_small ConvNeXtSmall convnext 224 6fc8009f convnext_small
convnext_base ConvNeXtBase convnext 224 40a20c55 convnext_base
convnext_large ConvNeXtLarge convnext 224 96f02b6f convnext_large
convnext_xlarge ConvNeXtXLarge convnext 224 de3f8a54 convnext_xlarge
densenet121 DenseNet121 densenet 224 30ee3e11 densenet121
densenet169 DenseNet169 densenet 224 b8c4d4c2 densenet169
densenet201 DenseNet201 densenet 224 c13680b5 densenet201
efficientnet_b0 EfficientNetB0 efficientnet 224 50bc09e7 efficientnetb0
efficientnet_b1 EfficientNetB1 efficientnet 240 74c4e6b3 efficientnetb1
efficientnet_b2 EfficientNetB2 efficientnet 260 111f8e2a efficientnetb2
efficientnet_b3 EfficientNetB3 efficientnet 300 af6d1077 efficientnetb3
efficientnet_b4 EfficientNetB4 efficientnet 380 ebc24e6d efficientnetb4
efficientnet_b5 EfficientNetB5 efficientnet 456 38879255 efficientnetb5
efficientnet_b6 EfficientNetB6 efficientnet 528 9ecce426 efficientnetb6
efficientnet_b7 EfficientNetB7 efficientnet 600 cbcfe445 efficientnetb7
efficientnet_v2_b0 EfficientNetV2B0 efficientnet_v2 224 893217f2 efficientnetv2-b0
efficientnet_v2_b1 EfficientNetV2B1 efficientnet_v2 240 0e806630 efficientnetv2-b1
efficientnet_v2_b2 EfficientNetV2B2 efficientnet_v2 260 1dfe2e7a efficientnetv2-b2
efficientnet_v2_b3 EfficientNetV2B3 efficientnet_v2 300 f6abf7b5 efficientnetv2-b3
efficientnet_v2_s EfficientNetV2S efficientnet_v2 384 af0682fb efficientnetv2-s
efficientnet_v2_m EfficientNetV2M efficientnet_v2 480 1b8dc055 efficientnetv2-m
efficientnet_v2_l EfficientNetV2L efficientnet_v2 480 b0b66b5c efficientnetv2-l
inception_resnet_v2 InceptionResNetV2 inception 299 d19885ff inception_resnet_v2/inception_resnet_v2
inception_v3 InceptionV3 inception 299 bcbd6486 inception_v3/inception_v3
mobilenet MobileNet mobilenet 224 - mobilenet_{tenths}_{size}
mobilenet_v2 MobileNetV2 mobilenet_v2 224 - mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{size}
mobilenet_v3_large MobileNetV3Large mobilenet_v3 224 07fb09a5 mobilenet_v3_large_224_{alpha}
mobilenet_v3_small MobileNetV3Small mobilenet_v3 224 d3e8ec80 mobilenet_v3_small_224_{alpha}
nasnet_large NASNetLarge nasnet 331 d81d89dc NASNet-large
nasnet_mobile NASNetMobile nasnet 224 1ed92395 NASNet-mobile
resnet50 ResNet50 resnet 224 4d473c1d resnet50
resnet101 ResNet101 resnet 224 88cf7a10 resnet101
resnet152 ResNet152 resnet 224 ee4c566c resnet152
resnet50_v2 ResNet50V2 resnet_v2 224 fac2f116 resnet50v2
resnet101_v2 ResNet101V2 resnet_v2 224 c0ed64b8 resnet101v2
resnet152_v2 ResNet152V2 resnet_v2 224 ed17cf2e resnet152v2
vgg16 VGG16 vgg 224 6d6bbae1 vgg16/vgg16
vgg19 VGG19 vgg 224 253f8cb5 vgg19/vgg19
xception Xception xception 299 b0042744 xception/xception
"""  # noqa: E501

# Width multipliers for which Keras publishes ImageNet weights.
_ALPHAS = {
    "mobilenet": (0.25, 0.5, 0.75, 1.0),
    "mobilenet_v2": (0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
    "mobilenet_v3_large": (0.75, 1.0),
    "mobilenet_v3_small": (0.75, 1.0),
}


def _make_keras_spec(line: str) -> backbones.BackboneSpec:
    name, class_name, family, size, digits, file = line.split()
    preprocessing, smallest, place = _FAMILIES[family]
    return backbones.BackboneSpec(
        name=name,
        builder=f"keras.applications:{class_name}",
        image_size=int(size),
        min_image_size=smallest,
        preprocessing=preprocessing,
        alphas=_ALPHAS.get(name, ()),
        weights_url=place % file,
        weights_hash=None if digits == "-" else digits,
        # ConvNeXt ends with pooling, LayerNorm and a dense layer.
        normalizes_pooled=family == "convnext",
    )


def _make_torchvision_spec(
    name: str, module: str, smallest: int = 32, size: int = 224
) -> backbones.BackboneSpec:
    return backbones.BackboneSpec(
        name=name,
        builder=f"tf_finetune.backbones.{module}:{name}",
        image_size=size,
        min_image_size=smallest,
        preprocessing="torch",
    )


_SPECS = [
    *(_make_keras_spec(line) for line in _TABLE.strip().splitlines()),
    _make_torchvision_spec("alexnet", "alexnet", 63),
    _make_torchvision_spec("cifar_resnet20", "cifar_resnet", 16, 32),
    _make_torchvision_spec("cifar_resnet56", "cifar_resnet", 16, 32),
    *efficientnet_lite_specs.SPECS,
    _make_torchvision_spec("googlenet", "googlenet"),
    _make_torchvision_spec("resnet18", "resnet"),
    _make_torchvision_spec("resnet34", "resnet"),
    backbones.BackboneSpec(
        name="small_cnn",
        builder="tf_finetune.backbones.small_cnn:small_cnn",
        image_size=32,
        min_image_size=16,
        preprocessing="tf",
        bundled_weights=(("digits", "small_cnn_digits.weights.h5"),),
    ),
]

BACKBONES = registry.Registry("backbone", {each.name: each for each in _SPECS})


def find_spec(name: str) -> tuple[backbones.BackboneSpec, float | None]:
    """Finds a backbone's description and the width multiplier in its name.

    Args:
        name: Value of `--backbone`: a name, in Keras' spelling too
            ("ResNet50V2"), "NAME@ALPHA" for families of several widths,
            "NAME+torch" for torchvision's graph, "NAME+se" for ResNets with
            squeeze-and-excitation, or "package.module:attribute" of a spec.

    Returns:
        The spec, and the width multiplier: 1.0 where none was given, None where
        the width is fixed.

    Raises:
        UsageError: There is no such backbone or width.
    """
    base, *additions = name.split("+")
    if additions:
        return _extend_spec(base, additions), None
    base, at, text = name.partition("@")
    spec = BACKBONES.get(_match_name(base))
    if not isinstance(spec, backbones.BackboneSpec):
        raise errors.UsageError(
            f"--backbone={name}: {base} is a {type(spec).__name__}, but a "
            "tf_finetune.backbones.backbone.BackboneSpec is needed."
        )
    if not at:
        return spec, 1.0 if spec.alphas else None
    if not spec.alphas:
        raise errors.UsageError(
            f"--backbone={name}: {base} has one width; write it without @."
        )
    try:
        alpha = float(text)
    except ValueError:
        alpha = None
    if alpha not in spec.alphas:
        widths = ", ".join(f"{base}@{each:g}" for each in spec.alphas)
        raise errors.UsageError(
            f"--backbone={name}: no such width. Possible: {widths}."
        )
    return spec, alpha


def _extend_spec(base: str, additions: list[str]) -> backbones.BackboneSpec:
    """Returns the facts of a backbone such as "resnet50+torch+se"."""
    known = _match_name(base)
    spec = BACKBONES.get(known)
    if additions[0] == "torch":
        spec = torch_rules.convert_spec(spec, known)
        additions = additions[1:]
    return _add_squeeze_excite(spec, known, additions)


def _add_squeeze_excite(
    spec: backbones.BackboneSpec, known: str, additions: list[str]
) -> backbones.BackboneSpec:
    """Returns the facts of a ResNet with blocks, such as "resnet50+se"."""
    if not additions:
        return spec
    residual = [each for each in BACKBONES.names() if each.startswith("resnet")]
    if known not in residual or additions != ["se"]:
        raise errors.UsageError(
            f"--backbone={'+'.join([known, *additions])}: blocks of "
            "squeeze-and-excitation (+se) can be put into "
            f"{', '.join(residual)}."
        )
    return dataclasses.replace(spec, squeeze_excite=True)


def _match_name(name: str) -> str:
    """Returns the registered name, which may differ in case, "_" and "-"."""
    if name in BACKBONES:
        return name
    plain = _drop_separators(name)
    names = BACKBONES.names()
    return next((e for e in names if _drop_separators(e) == plain), name)


def _drop_separators(name: str) -> str:
    return re.sub("[_-]", "", name).lower()


def format_table() -> str:
    """Formats all backbones: image sizes, preprocessing, accuracy, widths."""
    lines = [
        f"{'name':<22} {'image size':>10} {'smallest':>9}  "
        f"{'preprocessing':<14} {'top-1':>5}  widths"
    ]
    for name in BACKBONES.names():
        spec = BACKBONES.get(name)
        alpha = 1.0 if spec.alphas else None
        known = imagenet_accuracies.find_accuracy(name, alpha)
        top_1 = f"{known.top_1:.1f}" if known else ""
        widths = ", ".join(f"{each:g}" for each in spec.alphas)
        lines.append(
            f"{name:<22} {spec.image_size:>10} {spec.min_image_size:>9}  "
            f"{spec.preprocessing:<14} {top_1:>5}  {widths}".rstrip()
        )
    return "\n".join(lines)
