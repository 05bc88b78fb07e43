"""ResNet-20 and ResNet-56 for pictures of 32 pixels, without their tops.

Source: He et al. 2016, "Deep Residual Learning for Image Recognition", section
4.2, with shortcuts of option A: a shortcut that changes the shape drops every
other row and column and fills the new channels with zeros, half in front of
the old ones and half behind (github.com/akamaster/pytorch_resnet_cifar10, whose
weights fit).
"""

import keras

from tf_finetune.backbones import resnet

_FILTERS = (16, 32, 64)


def cifar_resnet20(image_tensor: keras.KerasTensor) -> keras.Model:
    """Builds ResNet-20 for pictures of 32 pixels without its top.

    Args:
        image_tensor: Tensor [batch, size, size, 3] of RGB standardized by mean
            and deviation, which may be computed by layers in front of it.

    Returns:
        A model with random weights, from the source input of `image_tensor` to
        the last feature map [batch, size/4, size/4, 64].
    """
    # 6n + 2 layers, n blocks a stage: 20 = 6·3 + 2.
    return _resnet(image_tensor, 3, name="cifar_resnet20")


def cifar_resnet56(image_tensor: keras.KerasTensor) -> keras.Model:
    """Builds ResNet-56 for pictures of 32 pixels without its top.

    Takes and returns the same as `cifar_resnet20`.
    """
    # 56 = 6·9 + 2.
    return _resnet(image_tensor, 9, name="cifar_resnet56")


def _resnet(
    image_tensor: keras.KerasTensor, blocks: int, *, name: str
) -> keras.Model:
    x = _convolution(image_tensor, 16, stride=1, name="conv1")
    x = keras.layers.ReLU(name="conv1_relu")(x)
    x = resnet.stack_stages(x, _FILTERS, [blocks] * len(_FILTERS), _block)
    inputs = keras.utils.get_source_inputs(image_tensor)
    return keras.Model(inputs, x, name=name)


def _block(
    x: keras.KerasTensor, filters: int, *, stride: int, name: str
) -> keras.KerasTensor:
    shortcut = x
    if stride > 1:
        # A window of one pixel drops every other row and column.
        shortcut = keras.layers.MaxPooling2D(
            1, strides=stride, name=f"{name}_0_pool"
        )(x)
        # Option A: zeros for the new channels, half in front, half behind.
        half = (filters - x.shape[-1]) // 2
        shortcut = keras.ops.pad(
            shortcut, [[0, 0], [0, 0], [0, 0], [half, half]]
        )
    x = _convolution(x, filters, stride=stride, name=f"{name}_1")
    x = keras.layers.ReLU(name=f"{name}_1_relu")(x)
    x = _convolution(x, filters, stride=1, name=f"{name}_2")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.ReLU(name=f"{name}_out")(x)


def _convolution(
    x: keras.KerasTensor, filters: int, *, stride: int, name: str
) -> keras.KerasTensor:
    # One pixel on both sides, as PyTorch pads; "same" with a stride does not.
    x = keras.layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return resnet.convolve(x, filters, kernel=3, stride=stride, name=name)
