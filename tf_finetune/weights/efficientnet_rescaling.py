"""EfficientNet B0 to B7: folds the Rescaling of Keras' own ImageNet weights.

keras.applications builds another graph for `weights="imagenet"`: behind the
Normalization layer a Rescaling by 1/sqrt(s), s = (0.229, 0.224, 0.225). The
published files hold s as the variance, and only with that layer the input is
divided by s as in training. Here the graph is always the plain one, and the
factor f = 1/sqrt(s) moves into the variance v:
(x - m) / sqrt(v) * f = (x - m) / sqrt(v / f²) = (x - m) / sqrt(v * s).

Source: keras/src/applications/efficientnet.py, "Build stem";
github.com/tensorflow/tensorflow/issues/49930.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any

import keras
import numpy as np

from tf_finetune.weights import layer_matching, saved_weights

# Names of the backbones of which Keras has two graphs.
TWO_GRAPHS = re.compile(r"efficientnet_b[0-7]")
# The s above: standard deviations of RGB, which Keras uses as variances.
VARIANCE_FACTORS = (0.229, 0.224, 0.225)


def fold_rescaling(
    model: keras.Model,
    file: saved_weights.SavedWeights,
    *,
    matched: Collection[str],
    published: bool,
) -> bool:
    """Folds a file's extra Rescaling into the model's Normalization.

    It multiplies the variance by `VARIANCE_FACTORS`, if the file is one of
    those whose graph has that Rescaling.

    Args:
        model: EfficientNet B0 to B7 that has the file's weights; changed in
            place.
        file: The weights file.
        matched: Names of the layers that took their weights from it.
        published: Whether the file is the one that Keras publishes.

    Returns:
        Whether anything was changed.
    """
    if not (published or _has_extra_rescaling(file)):
        return False
    changed = False
    for layer in _iterate_normalizations(model):
        if layer.name not in matched:
            continue
        _, variance, *_ = layer.weights
        value = keras.ops.convert_to_numpy(variance)
        # v * s; see the derivation above.
        variance.assign(value * np.float32(VARIANCE_FACTORS))
        # Normalization computes with values derived from its weights.
        layer.finalize_state()
        changed = True
    return changed


def _has_extra_rescaling(file: saved_weights.SavedWeights) -> bool:
    """Returns whether a file belongs to the graph with the extra Rescaling.

    The config says so, or the list of layers in a Keras 3 file. A classic .h5
    of weights alone may be older than the extra layer: there, two Rescalings or
    a variance that equals ImageNet's standard deviation, which only the
    published files have, are the evidence.
    """
    if file.kind == "workdir":
        return False
    if file.config is not None:
        return _is_in_config(file.config)
    rescalings = _count_rescalings(file)
    if file.kind == "keras3_h5" and rescalings:
        return rescalings > 1
    return rescalings > 1 or _has_stddev_as_variance(file)


def _iterate_normalizations(model: keras.Model) -> Iterator[Any]:
    for layer in model.layers:
        if type(layer).__name__ == "Normalization" and layer.weights:
            yield layer


def _is_in_config(config: Any) -> bool:
    """Returns whether a Rescaling follows a Normalization, at any depth."""
    if isinstance(config, list):
        classes = [
            each.get("class_name") if isinstance(each, dict) else None
            for each in config
        ]
        for first, second in zip(classes, classes[1:], strict=False):
            if (first, second) == ("Normalization", "Rescaling"):
                return True
        return any(_is_in_config(each) for each in config)
    if isinstance(config, dict):
        return any(_is_in_config(each) for each in config.values())
    return False


def _count_rescalings(file: saved_weights.SavedWeights) -> int:
    """Counts the Rescalings of the model that holds the Normalization."""
    inside = {
        layer.path.rpartition("/")[0]
        for layer in file.layers
        if layer.arrays and _get_class(layer) == "normalization"
    }
    places = [
        layer.path.rpartition("/")[0]
        for layer in file.layers
        if _get_class(layer) == "rescaling"
    ]
    return max((places.count(each) for each in inside), default=0)


def _get_class(layer: saved_weights.SavedLayer) -> str:
    return layer_matching.split_number(layer.path.rpartition("/")[2])[0]


def _has_stddev_as_variance(file: saved_weights.SavedWeights) -> bool:
    for layer in file.layers:
        for name, array in zip(layer.array_names, layer.arrays, strict=True):
            # Keras 3 files number the variables: mean, variance, count.
            if "variance" not in name and name != "1":
                continue
            if array.shape == (3,) and np.allclose(
                array, VARIANCE_FACTORS, rtol=1e-3
            ):
                return True
    return False
