"""The networks of keras.applications, as their constructors build them."""

import re
from collections.abc import Callable

import keras

# Keras builds EfficientNet B0-B7 with one more Rescaling by 1/sqrt(these)
# after the Normalization if, and only if, it loads its own ImageNet weights.
# Read in keras.applications.efficientnet; they are named standard deviations
# there and are used as variances.
_IMAGENET_STDDEV_RGB = (0.229, 0.224, 0.225)


def build_without_top(
    constructor: Callable[..., keras.Model],
    image_tensor: keras.KerasTensor,
    *,
    alpha: float | None,
) -> keras.Model:
    """Builds a network of keras.applications without its classifier.

    Networks that scale their own input (ConvNeXt, EfficientNet, MobileNetV3)
    do so here too, which is their default.

    Args:
        constructor: E.g. `keras.applications.ResNet50`.
        image_tensor: [batch, size, size, 3], preprocessed as it needs.
        alpha: The width; None for networks of one width.

    Returns:
        A model with random weights, from the input behind `image_tensor` to
        the last feature map [batch, height, width, channels].
    """
    keywords = {} if alpha is None else {"alpha": alpha}
    return constructor(
        include_top=False,
        weights=None,
        input_tensor=image_tensor,
        input_shape=image_tensor.shape[1:],
        **keywords,
    )


def find_variance_factors(name: str) -> tuple[float, ...] | None:
    """Returns factors for the normalization variance in ImageNet weights.

    Args:
        name: Of the backbone.

    Returns:
        A factor a channel (RGB) that makes the one graph built here compute
        with Keras' own ImageNet weights what Keras computes with them; None
        where Keras has one graph anyway.
    """
    if re.fullmatch(r"efficientnet_b[0-7]", name):
        return _IMAGENET_STDDEV_RGB
    return None
