"""Parity check: features by a file's own graph and by the backbone."""

import keras
import numpy as np

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.weights import (
    config_graph,
    graph_execution,
    input_scaling,
    merge_report,
    node_execution,
    saved_weights,
)

# Of the largest feature. Sums in float32 differ by 1e-6, up to 6.7e-5 in a
# MobileNetV3 that magnifies differences; a wrong padding shows at 1.6e-3.
_TOLERANCE = 1e-4


def check_features(
    backbone: backbones.Backbone,
    file: saved_weights.SavedWeights,
    report: merge_report.MergeReport,
) -> str | None:
    """Checks that a backbone computes the features of the file's own graph.

    One random image is sent through both, up to the last layer that took its
    weights from the file.

    Args:
        backbone: Has the file's weights.
        file: The weights file; its `graph` is not None.
        report: Matched layers and their paths in the file.

    Returns:
        A sentence about the difference, or why nothing was compared; None if no
        layer of the file's graph is found by its path.

    Raises:
        RunError: The features differ by more than 1e-4 of the largest one.
    """
    if not report.complete:
        return (
            "The features were not compared with those of the file's own "
            "graph, since layers are missing."
        )
    # The last layer with weights of the file depends on all others before it.
    for layer in reversed(backbone.model.layers):
        place = _find_place(file, report, layer)
        if place is not None:
            break
    else:
        return None
    random = np.random.default_rng(0)
    shape = (1, *backbone.model.input_shape[1:])
    image = random.uniform(0, 255, shape).astype("float32")
    own = graph_execution.GraphRunner(file.graph, file.find_arrays)
    scaled = image
    start = input_scaling.find_first_kernel_layer(backbone.model)
    entry = start and _find_place(file, report, start)
    if entry is not None and not own.list_nodes_before(entry):
        # The file holds a network without preprocessing: it gets the scaled
        # image, as it did in training.
        scaled = input_scaling.scale_images(backbone.model, start, image)
    try:
        theirs = own.compute_output(place, scaled)
    except node_execution.UnsupportedNodeError as error:
        return (
            "The features were not compared with those of the file's own "
            f"graph: {error} is not supported here."
        )
    part = keras.Model(backbone.model.inputs[0], layer.output)
    ours = np.asarray(part(image, training=False))
    return _report_difference(backbone, file, layer.name, ours, theirs)


def _find_place(
    file: saved_weights.SavedWeights,
    report: merge_report.MergeReport,
    layer: keras.Layer,
) -> config_graph.LayerPlace | None:
    """Returns the file's layer whose weights a layer took, if it did."""
    path = report.paths.get(layer.name)
    # Operations of a graph, such as a division, have an empty path there.
    return None if path is None else file.find_place(path)


def _report_difference(
    backbone: backbones.Backbone,
    file: saved_weights.SavedWeights,
    name: str,
    ours: np.ndarray,
    theirs: np.ndarray,
) -> str:
    if ours.shape != theirs.shape:
        what = f"their shapes are {theirs.shape[1:]} and {ours.shape[1:]}"
    else:
        largest = max(float(np.abs(theirs).max()), np.finfo("float32").tiny)
        # Relative error: max |ours - theirs| / max |theirs|.
        difference = float(np.abs(ours - theirs).max()) / largest
        if difference <= _TOLERANCE:
            return (
                f"Features at layer {name!r} agree with those of the file's "
                f"own graph to {difference:.1e} (relative to the largest)."
            )
        what = f"they differ by {difference:.1e} of the largest"
    raise errors.RunError(
        f"The weights of {file.path} fit {backbone.spec.name}, but its own "
        f"graph computes other features with them: at {name!r} {what}. It has "
        "other strides, paddings, activations or layers between; give a "
        "--backbone that is the same network."
    )
