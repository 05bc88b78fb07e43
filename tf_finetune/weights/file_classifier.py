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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classifier:
    """Dense layer from pooled features to logits.

    Attributes:
        kernel: float32 [features, classes].
        bias: float32 [classes].
    """

    kernel: np.ndarray
    bias: np.ndarray


def read_classifier(
    loaded: loading.LoadedWeights, *, features: int
) -> Classifier:
    """Reads the classifier of the file that a backbone's weights came from.

    Args:
        loaded: Record of the backbone's weights; its file is read again.
        features: Width of the backbone's last feature map.

    Raises:
        UsageError: The file holds no classifier, or one that is not a single
            dense layer on `features` pooled features.
    """
    file = saved_weights.select_part(
        weights_file.read_weights(loaded.path),
        weights_source.parse_source(loaded.source).part,
    )
    unused = _list_unused(file, loaded.report)
    named = [layer.name or layer.path for layer in unused]
    if not unused:
        raise errors.UsageError(
            f"--keep_classifier: {loaded.path} holds no classifier (it is a "
            "file without its top). Give a file of the whole network with "
            "--weights=PATH."
        )
    found = _parse_dense(unused[0].arrays, features)
    if len(unused) > 1 or found is None:
        raise errors.UsageError(
            f"--keep_classifier: the classifier in {loaded.path} is not one "
            f"dense layer on {features} pooled features; its layers are "
            f"{merge_report.join_names(named)}. Train a new head instead, "
            "without --keep_classifier."
        )
    return found


def _list_unused(
    file: saved_weights.SavedWeights, report: merge_report.MergeReport
) -> list[saved_weights.SavedLayer]:
    """Lists the layers of a file that the backbone did not take."""
    taken = set(report.paths.values())
    return [
        layer
        for layer in file.layers
        if layer.arrays
        and layer.path not in taken
        # A nested model of a classic .h5 is one layer.
        and not any(path.startswith(f"{layer.path}/") for path in taken)
    ]


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
