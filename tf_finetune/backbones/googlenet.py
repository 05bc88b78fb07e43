"""GoogLeNet (Inception v1), which keras.applications lacks.

Source: Szegedy et al. 2015, "Going Deeper with Convolutions", table 1 and
figure 2 (b), without the auxiliary classifiers; in torchvision's variant, so
that its weights fit: batch norm instead of local response normalization, and
kernels of 3 pixels where the paper has 5.
"""

import keras

# By stage: for each block the filters of its branches, in the paper's order:
# 1 x 1; 3 x 3 reduced and full; 5 x 5 reduced and full; behind the pooling.
_STAGES = (
    ("3a 64 96 128 16 32 32", "3b 128 128 192 32 96 64"),
    (
        "4a 192 96 208 16 48 64",
        "4b 160 112 224 24 64 64",
        "4c 128 128 256 24 64 64",
        "4d 112 144 288 32 64 64",
        "4e 256 160 320 32 128 128",
    ),
    ("5a 256 160 320 32 128 128", "5b 384 192 384 48 128 128"),
)


def googlenet(image_tensor: keras.KerasTensor) -> keras.Model:
    """Builds GoogLeNet without its classifier.

    Args:
        image_tensor: [batch, size, size, 3], standardized RGB.

    Returns:
        A model with random weights, from the input of the graph to the last
        feature map [batch, size/32, size/32, 1024], rounded up; torchvision's
        own may be a pixel smaller where 32 does not divide the size.
    """
    # As PyTorch pads; "same" with a stride pads the end more.
    x = keras.layers.ZeroPadding2D(3, name="conv1_pad")(image_tensor)
    x = _convolution(x, 64, kernel=7, stride=2, name="conv1")
    x = _pooling(x, 3, name="pool1")
    x = _convolution(x, 64, kernel=1, name="conv2")
    x = _convolution(x, 192, kernel=3, name="conv3")
    for number, blocks in enumerate(_STAGES, start=2):
        # In torchvision's variant the last pooling has a window of 2.
        x = _pooling(x, 2 if number == 4 else 3, name=f"pool{number}")
        for block in blocks:
            name, *filters = block.split()
            x = _inception(x, *map(int, filters), name=f"inception{name}")
    inputs = keras.utils.get_source_inputs(image_tensor)
    return keras.Model(inputs, x, name="googlenet")


def _inception(
    x: keras.KerasTensor,
    direct: int,
    reduced3: int,
    full3: int,
    reduced5: int,
    full5: int,
    pooled: int,
    *,
    name: str,
) -> keras.KerasTensor:
    # Figure 2 (b): 1 x 1 convolutions reduce channels before larger kernels.
    first = _convolution(x, direct, kernel=1, name=f"{name}_1")
    second = _convolution(x, reduced3, kernel=1, name=f"{name}_2_reduce")
    second = _convolution(second, full3, kernel=3, name=f"{name}_2")
    third = _convolution(x, reduced5, kernel=1, name=f"{name}_3_reduce")
    third = _convolution(third, full5, kernel=3, name=f"{name}_3")
    fourth = keras.layers.MaxPooling2D(
        3, strides=1, padding="same", name=f"{name}_4_pool"
    )(x)
    fourth = _convolution(fourth, pooled, kernel=1, name=f"{name}_4")
    return keras.layers.Concatenate(name=f"{name}_out")(
        [first, second, third, fourth]
    )


def _pooling(
    x: keras.KerasTensor, size: int, *, name: str
) -> keras.KerasTensor:
    # At even sizes "same" pads one pixel at the end, as PyTorch's ceil_mode.
    return keras.layers.MaxPooling2D(
        size, strides=2, padding="same", name=name
    )(x)


def _convolution(
    x: keras.KerasTensor,
    filters: int,
    *,
    kernel: int,
    stride: int = 1,
    name: str,
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same" if stride == 1 else "valid",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    # Epsilon as in torchvision, where PyTorch would default to 1e-5.
    x = keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-3, name=f"{name}_bn"
    )(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)
