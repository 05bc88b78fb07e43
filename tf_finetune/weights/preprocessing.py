"""Takes over the preprocessing of a file's model into the backbone.

Random colors are sent through the layers of the file before its first
convolution. If the result is M x + b, the backbone's own scaling is set to the
same, so that zero padding behind it stays exact. If M reorders or mixes
channels, it is multiplied into the first kernel W, which becomes W·M.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.untrusted import keras_files
from tf_finetune.weights import (
    config_graph,
    graph_execution,
    input_scaling,
    merge_report,
    node_execution,
    saved_weights,
)

# ImageNet's statistics of RGB colors in 0..1.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STDDEV = (0.229, 0.224, 0.225)


def adopt_scaling(
    backbone: backbones.Backbone,
    file: saved_weights.SavedWeights,
    report: merge_report.MergeReport,
) -> merge_report.MergeReport:
    """Makes a backbone scale its images as the model in the file does.

    Without preprocessing in the file nothing changes, except that a
    Normalization layer that the file lacks gets ImageNet's mean and variance.
    A Lambda layer in it is not run, and nothing changes.

    Args:
        backbone: Has the file's weights; changed in place.
        file: The weights file.
        report: Matched layers and their paths in the file.

    Returns:
        A report with further notes on the changes; `report` itself if there
        are none.

    Raises:
        RunError: The file's preprocessing is not of the form M x + b for a
            color x, or the backbone has no layer that can take it over.
    """
    if backbone.model.input_shape[-1] != 3:
        return report
    if file.graph is None and isinstance(file.config, dict):
        report = _add_note(
            report,
            f"The file's model ({file.config.get('class_name')}) preprocesses "
            "pictures in code of its own, which is not run. They are scaled "
            f"as for {backbone.spec.name}, which may differ.",
        )
    first = input_scaling.find_first_kernel_layer(backbone.model)
    place = first and file.find_place(report.paths.get(first.name, ""))
    own = graph_execution.GraphRunner(file.graph, file.find_arrays)
    before = own.list_nodes_before(place) if place else []
    if not before:
        return _fill_normalization(backbone.model, report)
    if any(node.class_name == "Lambda" for node in before):
        return _add_note(report, _warn_about_lambda(backbone, before))
    theirs = _measure_file(backbone, file, own, place, before)
    ours = input_scaling.measure_scaling(backbone.model, first)
    if input_scaling.is_same(theirs, ours):
        return report
    _set_scaling(backbone, file.path, first, theirs, _join_node_names(before))
    return _add_note(
        report,
        f"The file's model scales pictures itself ({_join_node_names(before)}: "
        f"{theirs}); this is kept in place of the scaling of "
        f"{backbone.spec.name} ({ours}).",
    )


def record_scaling(path: pathlib.Path, model: keras.Model) -> None:
    """Writes a network's scaling of images into a file of its weights.

    Args:
        path: A complete `.weights.h5`, changed in place.
        model: The network, a backbone with or without a head.
    """
    if model.input_shape[-1] != 3:
        return
    first = input_scaling.find_first_kernel_layer(model)
    found = first and input_scaling.measure_scaling(model, first)
    if found and len(found.offset) == 3:
        keras_files.write_scaling(path, found.numbers)


def adopt_record(
    backbone: backbones.Backbone,
    file: saved_weights.SavedWeights,
    report: merge_report.MergeReport,
    numbers: Sequence[float],
) -> merge_report.MergeReport:
    """Makes a backbone scale its images as `record_scaling` wrote in a file.

    Args:
        backbone: Has the file's weights; changed in place.
        file: A file of arrays alone.
        report: Matched layers.
        numbers: The record, from `keras_files.read_scaling`.

    Returns:
        A report with a further note on the change, if there was one.

    Raises:
        RunError: The backbone has no layer that can take the scaling over.
    """
    if backbone.model.input_shape[-1] != 3:
        return report
    theirs = input_scaling.from_numbers(numbers)
    first = input_scaling.find_first_kernel_layer(backbone.model)
    ours = input_scaling.measure_scaling(backbone.model, first)
    if input_scaling.is_same(theirs, ours):
        return report
    _set_scaling(backbone, file.path, first, theirs, f"the scaling {theirs}")
    return _add_note(
        report,
        f"The file's network scales pictures to {theirs}; this is kept in "
        f"place of the scaling of {backbone.spec.name} ({ours}).",
    )


def _add_note(
    report: merge_report.MergeReport, note: str
) -> merge_report.MergeReport:
    return dataclasses.replace(report, notes=(*report.notes, note))


def _join_node_names(before: list[config_graph.Node]) -> str:
    return merge_report.join_names(
        [f"{node.class_name} {node.name!r}" for node in before]
    )


def _warn_about_lambda(
    backbone: backbones.Backbone, before: list[config_graph.Node]
) -> str:
    return (
        "The file's model preprocesses pictures by "
        f"{_join_node_names(before)}; a Lambda holds code and is not run. "
        f"Pictures are scaled as for {backbone.spec.name}, which may differ."
    )


def _measure_file(
    backbone: backbones.Backbone,
    file: saved_weights.SavedWeights,
    own: graph_execution.GraphRunner,
    place: config_graph.LayerPlace,
    before: list[config_graph.Node],
) -> input_scaling.ColorTransform:
    side, described = backbone.model.input_shape[1], _join_node_names(before)
    colors = input_scaling.draw_colors()
    try:
        pictures = np.tile(colors, (1, side, side, 1))
        found = input_scaling.fit_transform(
            colors, own.compute_input(place, pictures)
        )
    except node_execution.UnsupportedNodeError as error:
        raise errors.RunError(
            f"{_format_refusal(backbone, file.path, described)}: {error} is "
            f"not supported. {_ADVICE}"
        ) from error
    if found is None:
        raise errors.RunError(
            f"{_format_refusal(backbone, file.path, described)}: it is more "
            f"than a scale and an offset for each color. {_ADVICE}"
        )
    return found


_ADVICE = (
    "Save the network behind it alone (model.get_layer(NAME).save("
    "'network.keras')), if it was trained on pictures that are scaled as here."
)


def _format_refusal(
    backbone: backbones.Backbone, path: pathlib.Path, described: str
) -> str:
    return (
        f"The model in {path} preprocesses pictures by {described}, which "
        f"cannot replace the scaling of {backbone.spec.name}"
    )


def _set_scaling(
    backbone: backbones.Backbone,
    path: pathlib.Path,
    first: Any,
    wanted: input_scaling.ColorTransform,
    described: str,
) -> None:
    """Sets the backbone's own scaling, and its first kernel if needed.

    Its chain is T(S(Q x)): Q orders channels, S is the layer that is set, T is
    what comes behind it. A·T(S(Q x)) = M x + b is solved for S = (scale,
    offset) and A, which goes into the kernel.
    """
    layer = input_scaling.find_scaling_layer(backbone.model, first)
    channels = {
        len(wanted.offset),
        len(input_scaling.measure_scaling(backbone.model, first).offset),
    }
    if channels != {3}:
        raise errors.RunError(
            f"{_format_refusal(backbone, path, described)}: it turns the 3 "
            f"color channels into {len(wanted.offset)}. {_ADVICE}"
        )
    if layer is None:
        raise errors.RunError(
            f"{_format_refusal(backbone, path, described)}, which has no layer "
            f"for it. {_ADVICE}"
        )
    # With S = identity the chain is T(Q x): the pattern of its matrix is Q, its
    # values are T.
    input_scaling.set_scaling(layer, np.ones(3), np.zeros(3))
    plain = input_scaling.measure_scaling(backbone.model, first)
    order = (plain.matrix != 0).astype("float64")
    behind = plain.matrix.sum(axis=1)
    pattern = (wanted.matrix != 0).astype("float64")
    if (pattern.sum(0) == 1).all() and (pattern.sum(1) == 1).all():
        # M only reorders channels: one entry in each row and column.
        mixture = pattern @ order.T
        # mixtureᵀ · M · orderᵀ = diag(scale · behind).
        scale = np.diag(mixture.T @ wanted.matrix @ order.T) / behind
    else:
        # A mixing M goes whole into the kernel; the scale only undoes T.
        mixture = wanted.matrix @ order.T
        scale = 1 / behind
    inner = np.linalg.lstsq(mixture, wanted.offset, rcond=None)[0]
    if not np.allclose(mixture @ inner, wanted.offset, rtol=1e-6, atol=1e-6):
        raise errors.RunError(
            f"{_format_refusal(backbone, path, described)}: colors are mixed. "
            f"{_ADVICE}"
        )
    # S must give (offset · behind + plain.offset) = inner at x = 0.
    input_scaling.set_scaling(layer, scale, (inner - plain.offset) / behind)
    if not np.array_equal(mixture, np.eye(3)):
        _mix_kernel_channels(backbone, path, first, mixture, described)


def _mix_kernel_channels(
    backbone: backbones.Backbone,
    path: pathlib.Path,
    first: Any,
    mixture: np.ndarray,
    described: str,
) -> None:
    kernel = np.asarray(first.kernel, "float64")
    if not isinstance(first, keras.layers.Conv2D) or kernel.shape[2] != 3:
        raise errors.RunError(
            f"{_format_refusal(backbone, path, described)}: channels are in "
            f"another order. {_ADVICE}"
        )
    # W·M on every position: Σ_j W[h, w, j, o] M[j, i]
    first.kernel.assign(np.einsum("hwjo,ji->hwio", kernel, mixture))


def _fill_normalization(
    model: keras.Model, report: merge_report.MergeReport
) -> merge_report.MergeReport:
    """Fills in ImageNet's mean and variance if a file has none."""
    for layer in model.layers:
        if (
            isinstance(layer, keras.layers.Normalization)
            and layer.weights
            and layer.name in report.missing
        ):
            mean, variance, *_ = layer.weights
            mean.assign(np.float32(_IMAGENET_MEAN))
            variance.assign(np.float32(_IMAGENET_STDDEV) ** 2)
            layer.finalize_state()
            filled = dataclasses.replace(
                report,
                matched=(*report.matched, layer.name),
                missing=tuple(n for n in report.missing if n != layer.name),
            )
            return _add_note(
                filled,
                f"The file has no {layer.name!r}: pictures were probably "
                "standardized outside of the network. ImageNet's mean and "
                "standard deviation were filled in.",
            )
    return report
