"""AlexNet, which keras.applications lacks.

Source: Krizhevsky 2014, "One weird trick for parallelizing convolutional
neural networks", section 5 (one tower, no local response normalization), after
Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural
Networks"; in torchvision's variant, so that its weights fit.
"""

import keras

# Filters, kernel, stride, padding, and whether a pooling follows.
_LAYERS = (
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)


def alexnet(image_tensor: keras.KerasTensor) -> keras.Model:
    """Builds AlexNet up to its last pooling, without its dense layers.

    Args:
        image_tensor: [batch, size, size, 3], standardized RGB.

    Returns:
        A model with random weights, from the input of the graph to the last
        feature map, [batch, 6, 6, 256] for a size of 224.
    """
    x = image_tensor
    for number, (filters, kernel, stride, padding, pools) in enumerate(
        _LAYERS, start=1
    ):
        name = f"conv{number}"
        # PyTorch pads both sides alike, which "same" with a stride does not.
        x = keras.layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)
        x = keras.layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            kernel_initializer="he_normal",
            name=name,
        )(x)
        x = keras.layers.ReLU(name=f"{name}_relu")(x)
        if pools:
            x = keras.layers.MaxPooling2D(3, strides=2, name=f"pool{number}")(x)
    inputs = keras.utils.get_source_inputs(image_tensor)
    return keras.Model(inputs, x, name="alexnet")
