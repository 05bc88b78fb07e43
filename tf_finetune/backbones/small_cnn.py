"""Small residual network for small pictures, the quickstart's backbone."""

import keras

_FILTERS = (24, 48, 96)


def small_cnn(image_tensor: keras.KerasTensor) -> keras.Model:
    """Builds a small network: a stem and three residual blocks of stride 2.

    Args:
        image_tensor: [batch, size, size, 3] in -1..1.

    Returns:
        A model with random weights, from the input of the graph to the last
        feature map [batch, size/8, size/8, 96]; about 170,000 parameters.
    """
    x = _convolution(image_tensor, _FILTERS[0], stride=1, name="stem")
    x = keras.layers.ReLU(name="stem_relu")(x)
    for number, filters in enumerate(_FILTERS, start=1):
        x = _block(x, filters, name=f"block{number}")
    inputs = keras.utils.get_source_inputs(image_tensor)
    return keras.Model(inputs, x, name="small_cnn")


def _block(
    x: keras.KerasTensor, filters: int, *, name: str
) -> keras.KerasTensor:
    # Every block has stride 2, so each shortcut is a projection.
    shortcut = _convolution(x, filters, kernel=1, stride=2, name=f"{name}_0")
    x = _convolution(x, filters, stride=2, name=f"{name}_1")
    x = keras.layers.ReLU(name=f"{name}_1_relu")(x)
    x = _convolution(x, filters, stride=1, name=f"{name}_2")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.ReLU(name=f"{name}_out")(x)


def _convolution(
    x: keras.KerasTensor,
    filters: int,
    *,
    kernel: int = 3,
    stride: int,
    name: str,
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
