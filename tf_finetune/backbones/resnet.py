"""ResNet-18 and ResNet-34, which keras.applications lacks.

Source: He et al. 2016, "Deep Residual Learning for Image Recognition", table 1
and figure 5 left; in torchvision's variant, so that its weights fit: padding
of 3 and 1 pixels before the strided layers, batch norm with epsilon 1e-5,
projection shortcuts (option B) where a block changes the shape.
"""

from collections.abc import Callable, Sequence

import keras

_FILTERS = (64, 128, 256, 512)


def resnet18(image_tensor: keras.KerasTensor) -> keras.Model:
    """Builds ResNet-18 without its classifier.

    Args:
        image_tensor: [batch, size, size, 3], standardized RGB.

    Returns:
        A model with random weights, from the input of the graph to the last
        feature map [batch, size/32, size/32, 512].
    """
    return _resnet(image_tensor, (2, 2, 2, 2), name="resnet18")


def resnet34(image_tensor: keras.KerasTensor) -> keras.Model:
    """Builds ResNet-34 without its classifier.

    Argument and result are those of `resnet18`.
    """
    return _resnet(image_tensor, (3, 4, 6, 3), name="resnet34")


def _resnet(
    image_tensor: keras.KerasTensor, blocks: tuple[int, ...], *, name: str
) -> keras.Model:
    # As PyTorch pads; "same" with a stride pads the end more.
    x = keras.layers.ZeroPadding2D(3, name="conv1_pad")(image_tensor)
    x = convolve(x, 64, kernel=7, stride=2, name="conv1")
    x = keras.layers.ReLU(name="conv1_relu")(x)
    # After a ReLU, zero padding is as good as padding with minus infinity.
    x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = keras.layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    x = stack_stages(x, _FILTERS, blocks, _block)
    inputs = keras.utils.get_source_inputs(image_tensor)
    return keras.Model(inputs, x, name=name)


def stack_stages(
    x: keras.KerasTensor,
    filters: Sequence[int],
    blocks: Sequence[int],
    add_block: Callable[..., keras.KerasTensor],
) -> keras.KerasTensor:
    """Adds the stages of a ResNet, named "conv2_block1" and so on.

    Args:
        x: Output of the stem, [batch, height, width, channels].
        filters: Channels of each stage.
        blocks: Number of blocks of each stage.
        add_block: Adds a block, called with a tensor and its filters, and with
            `stride` and `name` as keywords.

    Returns:
        The last feature map; every stage but the first halves the sides.
    """
    # Counted from 2, as in the paper, where the stem is 1.
    for stage, (width, count) in enumerate(
        zip(filters, blocks, strict=True), start=2
    ):
        for block in range(1, count + 1):
            # The first stage has no stride of its own.
            stride = 2 if block == 1 and stage > 2 else 1
            block_name = f"conv{stage}_block{block}"
            x = add_block(x, width, stride=stride, name=block_name)
    return x


def _block(
    x: keras.KerasTensor, filters: int, *, stride: int, name: str
) -> keras.KerasTensor:
    # Option B: an identity, or a 1 x 1 projection where the shape changes.
    shortcut = x
    if stride > 1 or x.shape[-1] != filters:
        shortcut = convolve(
            x, filters, kernel=1, stride=stride, name=f"{name}_0"
        )
    x = keras.layers.ZeroPadding2D(1, name=f"{name}_1_pad")(x)
    x = convolve(x, filters, kernel=3, stride=stride, name=f"{name}_1")
    x = keras.layers.ReLU(name=f"{name}_1_relu")(x)
    x = keras.layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = convolve(x, filters, kernel=3, stride=1, name=f"{name}_2")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.ReLU(name=f"{name}_out")(x)


def convolve(
    x: keras.KerasTensor, filters: int, *, kernel: int, stride: int, name: str
) -> keras.KerasTensor:
    """Adds a convolution without padding and bias, and a batch norm.

    Args:
        x: [batch, height, width, channels].
        filters: Channels of the result.
        kernel: Side of the kernel, pixels.
        stride: Of both sides.
        name: The layers are called NAME_conv and NAME_bn.
    """
    x = keras.layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    # PyTorch's defaults: eps 1e-5, momentum 0.1, which is 0.9 in Keras.
    return keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, name=f"{name}_bn"
    )(x)
