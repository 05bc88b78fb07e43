"""The classifier of a weights file: its last layer, which a new head replaces.

Only a classifier that is one dense layer on the pooled last feature map can be
kept. Those of VGG, AlexNet and MobileNetV3 have hidden layers, and ConvNeXt
normalizes between the pooling and the dense layer.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_finetune import errors
from tf_finetune.weights import (
    loading,
    merge_report,
    saved_weights,
    weights_file,
    weights_source,
)
from tf_finetune.weights.torch import reader

# Second classifiers, of training alone.
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")
# PyTorch's kernels are [out, in, …].
_LAST_AXES = (1, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classifier:
    """Dense layer from pooled features to logits.

    Attributes:
        kernel: Weights [features, classes], float32.
        bias: Biases [classes], float32.
    """

    kernel: np.ndarray
    bias: np.ndarray


def read_classifier(
    loaded: loading.LoadedWeights, *, features: int
) -> Classifier:
    """Reads the classifier of a weights file that a backbone was loaded from.

    Args:
        loaded: Report on loading the backbone; the file is read again, and the
            layers that the backbone did not take are the classifier.
        features: Channels of the backbone's last feature map.

    Returns:
        The classifier, in Keras' layout; its number of classes is that of the
        file.

    Raises:
        UsageError: The file holds no classifier, or one that is not a single
            dense layer on `features` numbers.
    """
    part = weights_source.parse_source(loaded.source).part
    if weights_file.detect_kind(loaded.path) == "torch":
        top = _read_torch_top(loaded, part)
    else:
        top = _read_keras_top(loaded, part)
    if not top:
        raise errors.UsageError(
            f"--keep_classifier: {loaded.path} holds no classifier (it is a "
            "file without its top). Give a file of the whole network with "
            "--weights=PATH."
        )
    found = _parse_dense(next(iter(top.values())), features)
    if len(top) > 1 or found is None:
        raise errors.UsageError(
            f"--keep_classifier: the classifier in {loaded.path} is not one "
            f"dense layer on {features} pooled features; its layers are "
            f"{merge_report.join_names([*top])}. Train a new head instead, "
            "without --keep_classifier."
        )
    return found


def _read_keras_top(
    loaded: loading.LoadedWeights, part: str
) -> dict[str, Sequence[np.ndarray]]:
    """Returns the arrays of each layer that the backbone did not take."""
    file = saved_weights.select_part(
        weights_file.read_weights(loaded.path), part
    )
    taken = set(loaded.report.paths.values())
    return {
        layer.name or layer.path: layer.arrays
        for layer in file.layers
        if layer.arrays
        and layer.path not in taken
        # A nested model of a classic .h5 is one layer.
        and not any(path.startswith(f"{layer.path}/") for path in taken)
    }


def _read_torch_top(
    loaded: loading.LoadedWeights, part: str
) -> dict[str, Sequence[np.ndarray]]:
    """Returns the arrays of each module of a PyTorch file's classifier.

    Kernels are [in, out] and [1, 1, in, out], as in Keras.
    """
    file = reader.read_state_dict(loaded.path, part=part)
    unused = set(loaded.report.unused)
    found: dict[str, list[np.ndarray]] = {}
    # In the order weight, bias, which that of a file need not be.
    for name in sorted(file.arrays, key=lambda each: each.endswith(".bias")):
        if name in unused and not name.startswith(_AUXILIARY):
            array = file.arrays[name]
            module = name.rpartition(".")[0]
            found.setdefault(module, []).append(
                # [out, in, h, w] → [h, w, in, out]; [out, in] → [in, out].
                array.transpose(*range(2, array.ndim), *_LAST_AXES)
                if array.ndim > 1
                else array
            )
    return found


def _parse_dense(
    arrays: Sequence[np.ndarray], features: int
) -> Classifier | None:
    """Returns a kernel and a bias as a classifier; None if they are none."""
    if len(arrays) != 2:
        return None
    kernel, bias = arrays
    # MobileNet ends in a convolution of 1 x 1 on the pooled features.
    if kernel.shape[:-2] not in ((), (1, 1)) or kernel.ndim < 2:
        return None
    kernel = kernel.reshape(kernel.shape[-2:])
    if kernel.shape[0] != features or bias.shape != kernel.shape[1:]:
        return None
    return Classifier(
        kernel=kernel.astype("float32"), bias=bias.astype("float32")
    )
