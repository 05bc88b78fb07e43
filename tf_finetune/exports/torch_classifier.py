"""The head of a run as the classifier of a network of torchvision."""

import dataclasses

import keras
import numpy as np

from tf_finetune import errors
from tf_finetune.exports import torchvision_networks as networks

# Hard-swish is x for x >= 3, and the features that it gives are >= -3/8, the
# least value of x·(x + 3)/6: shifted by this they pass a second one unchanged.
_SHIFT = 3.375


@dataclasses.dataclass(frozen=True, kw_only=True)
class Head:
    """Linear head of a model, and the activation behind it.

    Attributes:
        kernel: Weights [features, outputs], float32, in which a temperature or
            a scale of the outputs is contained.
        bias: Biases [outputs], float32, likewise.
        activation: Behind the logits: "softmax", "sigmoid" or "linear".
        feature_map: Tensor that is average-pooled to the features.
    """

    kernel: np.ndarray
    bias: np.ndarray
    activation: str
    feature_map: keras.KerasTensor


def find_head(model: keras.Model) -> Head:
    """Finds the linear head at the end of a model.

    Args:
        model: A run's model, from pictures to predictions.

    Returns:
        The dense layer on the pooled features, its outputs rescaled as the
        model does.

    Raises:
        UsageError: The model ends otherwise.
    """
    activation = "linear"
    scale, offset = np.ones([], "float64"), np.zeros([], "float64")
    operation = _find_operation(model.outputs[0])
    # From the output down to the logits.
    while not isinstance(operation, keras.layers.Dense):
        if isinstance(operation, keras.layers.Rescaling):
            # (x · a + b) · scale + offset
            offset = offset + scale * np.asarray(operation.offset, "float64")
            scale = scale * np.asarray(operation.scale, "float64")
        elif isinstance(operation, keras.layers.Activation) and (
            operation is _find_operation(model.outputs[0])
        ):
            activation = keras.activations.serialize(operation.activation)
        else:
            raise _refuse(operation)
        operation = _find_operation(operation.input)
    dense, operation = operation, _find_operation(operation.input)
    if isinstance(operation, keras.layers.Dropout):
        operation = _find_operation(operation.input)
    if not isinstance(operation, keras.layers.GlobalAveragePooling2D):
        raise _refuse(operation)
    kernel, bias = (np.asarray(each, "float64") for each in dense.weights)
    return Head(
        kernel=(kernel * scale).astype("float32"),
        bias=(bias * scale + offset).astype("float32"),
        activation=activation,
        feature_map=operation.input,
    )


def build_classifier(
    head: Head, network: networks.Network
) -> dict[str, np.ndarray]:
    """Builds the arrays of torchvision's classifier from a linear head.

    Where torchvision's classifier has hidden layers, these are made to pass the
    pooled features on: the first averages the positions of each channel, and
    later ones are the identity.

    Args:
        head: The head.
        network: The network of torchvision.

    Returns:
        "NAME.weight" [out, in] and "NAME.bias" [out] of each dense layer,
        float32.

    Raises:
        UsageError: Pooling to the network's grid loses the mean of the feature
            map, because its side and the grid do not divide each other.
    """
    features = head.kernel.shape[0]
    grid, width = network.grid, network.hidden_units
    side = int(head.feature_map.shape[1])
    if side % grid and grid % side:
        raise errors.UsageError(
            f"--format=torch: the feature map of the run has {side} by {side} "
            f"positions, and the classifier of torchvision's {network.name} "
            f"takes {grid} by {grid}: their means differ. Train with an "
            "--image_size whose feature map is a multiple of it (the "
            "backbone's own), or use --format=onnx."
        )
    found: dict[str, np.ndarray] = {}
    kernel, shift = head.kernel.astype("float64"), 0.0
    for place, module in enumerate(network.dense[:-1]):
        weight = np.zeros(
            [width, features * grid**2 if place == 0 else width], "float32"
        )
        for channel in range(features):
            # Flattened [channels, grid, grid]: a channel's positions in a row.
            if place == 0:
                start = channel * grid**2
                weight[channel, start : start + grid**2] = 1 / grid**2
            else:
                weight[channel, channel] = 1
        bias = np.zeros(width, "float32")
        if network.activation == "hard_swish":
            bias[:features], shift = _SHIFT, _SHIFT
        found[f"{module}.weight"], found[f"{module}.bias"] = weight, bias
    last = np.zeros([kernel.shape[1], width or features], "float32")
    last[:, :features] = kernel.T
    found[f"{network.dense[-1]}.weight"] = last
    # W·(f + shift) + b - shift·ΣW = W·f + b
    bias = head.bias - shift * kernel.sum(axis=0)
    found[f"{network.dense[-1]}.bias"] = bias.astype("float32")
    return found


def apply_classifier(
    pooled: np.ndarray,
    arrays: dict[str, np.ndarray],
    network: networks.Network,
) -> np.ndarray:
    """Computes a classifier of torchvision in NumPy.

    Args:
        pooled: [n, channels, grid, grid] pooled feature maps.
        arrays: State dict with the classifier's arrays.
        network: The network.

    Returns:
        Logits [n, outputs], float32.
    """
    x = pooled.reshape(len(pooled), -1)
    for place, module in enumerate(network.dense, start=1):
        x = x @ arrays[f"{module}.weight"].T + arrays[f"{module}.bias"]
        if place == len(network.dense):
            break
        if network.activation == "relu":
            x = np.maximum(x, 0)
        elif network.activation == "hard_swish":
            x = x * np.clip(x + 3, 0, 6) / 6
    return x.astype("float32")


def _find_operation(tensor: keras.KerasTensor) -> keras.Operation:
    return tensor._keras_history.operation


def _refuse(operation: keras.Operation) -> errors.UsageError:
    return errors.UsageError(
        f"--format=torch: the run's network ends with the layer "
        f"{operation.name!r}, and torchvision's end with one dense layer on "
        "the pooled features. Use --format=onnx or --format=keras."
    )
