"""The networks of keras.applications, as builders.

Every attribute `NAME` that keras.applications has is a builder here too.
"""

import functools
from collections.abc import Callable

import keras

# Keras builds EfficientNet B0-B7 with one more Rescaling by 1/sqrt(these)
# after the Normalization if, and only if, it loads its own ImageNet weights.
# Read in keras.applications.efficientnet; they are named standard deviations
# there and are used as variances.
_IMAGENET_STDDEV_RGB = (0.229, 0.224, 0.225)

# These scale their own input; MobileNetV3 and EfficientNetV2 on request.
_SCALES_INPUT = ("ConvNeXt", "EfficientNetV2", "MobileNetV3")


def __getattr__(name: str) -> Callable[..., keras.Model]:
    return functools.partial(_build, getattr(keras.applications, name))


def imagenet_variance_factors(name: str) -> tuple[float, ...] | None:
    """Returns what ImageNet weights' normalization variance is multiplied by.

    Args:
        name: Of the backbone.

    Returns:
        A factor a channel (RGB) that makes the one graph built here compute
        with Keras' own ImageNet weights what Keras computes with them; None
        where Keras has one graph anyway.
    """
    if not name.startswith("efficientnet_b"):
        return None
    return _IMAGENET_STDDEV_RGB


def _build(
    constructor: Callable[..., keras.Model],
    image_tensor: keras.KerasTensor,
    alpha: float | None = None,
) -> keras.Model:
    keywords = {} if alpha is None else {"alpha": alpha}
    if constructor.__name__.startswith(_SCALES_INPUT):
        keywords["include_preprocessing"] = True
    return constructor(
        include_top=False,
        weights=None,
        input_tensor=image_tensor,
        input_shape=image_tensor.shape[1:],
        **keywords,
    )
