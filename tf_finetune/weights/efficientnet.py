"""EfficientNet B0 to B7: the weights that need one more layer than we build.

keras.applications builds another graph for `weights="imagenet"`: behind the
Normalization layer a Rescaling by 1/sqrt(s), s = (0.229, 0.224, 0.225). The
published files hold s as the variance, and only with that layer the input is
divided by s as in training. Here the graph is always the plain one, and the
factor moves into the variance: (x - m) / sqrt(v) * f = (x - m) / sqrt(v / f²).

Source: keras/src/applications/efficientnet.py, "Build stem";
github.com/tensorflow/tensorflow/issues/49930.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_finetune.backbones import backbone
from tf_finetune.weights import matching, saved

if TYPE_CHECKING:
    import keras

STANDARD_DEVIATIONS = (0.229, 0.224, 0.225)


def concerns(spec: backbone.BackboneSpec) -> bool:
    """Says whether a backbone is one of EfficientNet B0 to B7."""
    return re.fullmatch(r"efficientnet_?b[0-7]", spec.name) is not None


def has_extra_rescaling(file: saved.SavedWeights) -> bool:
    """Says whether a file belongs to the graph with the Rescaling layer.

    A config, or the list of layers that a Keras 3 file holds, tells. A classic
    .h5 of weights alone was written before the layer was added, or after: two
    Rescalings tell, and so does a variance that is the standard deviation,
    which nobody but the published files has.
    """
    if file.kind == "workdir":
        return False
    if file.config is not None:
        return _in_config(file.config)
    if file.kind == "keras3_h5":
        return _count_rescalings(file) > 1
    return _count_rescalings(file) > 1 or _has_published_variance(file)


def fold(model: "keras.Model") -> None:
    """Moves the factor of the missing Rescaling into the model's variance."""
    for layer in _normalizations(model):
        _, variance, *_ = layer.weights
        # v / f² with f = 1 / sqrt(s).
        factors = np.asarray(STANDARD_DEVIATIONS, np.float32)
        variance.assign(np.asarray(variance) * factors)
        layer.finalize_state()


def _normalizations(model: "keras.Model") -> Iterator[Any]:
    for layer in model.layers:
        if type(layer).__name__ == "Normalization" and layer.weights:
            yield layer


def _in_config(config: Any) -> bool:
    """Looks for a Rescaling right behind a Normalization, at any depth."""
    if isinstance(config, list):
        classes = [
            each.get("class_name") if isinstance(each, dict) else None
            for each in config
        ]
        for first, second in zip(classes, classes[1:], strict=False):
            if (first, second) == ("Normalization", "Rescaling"):
                return True
        return any(_in_config(each) for each in config)
    if isinstance(config, dict):
        return any(_in_config(each) for each in config.values())
    return False


def _count_rescalings(file: saved.SavedWeights) -> int:
    """Counts the Rescalings of the model that holds the Normalization."""
    inside = {
        layer.path.rpartition("/")[0]
        for layer in file.layers
        if layer.arrays and _base(layer) == "normalization"
    }
    places = [
        layer.path.rpartition("/")[0]
        for layer in file.layers
        if _base(layer) == "rescaling"
    ]
    return max((places.count(each) for each in inside), default=0)


def _base(layer: saved.SavedLayer) -> str:
    return matching.split_number(layer.path.rpartition("/")[2])[0]


def _has_published_variance(file: saved.SavedWeights) -> bool:
    for layer in file.layers:
        for name, array in zip(layer.array_names, layer.arrays, strict=True):
            if "variance" not in name or array.shape != (3,):
                continue
            if np.allclose(array, STANDARD_DEVIATIONS, rtol=1e-3):
                return True
    return False
