"""Takes over the preprocessing of a file's model into the backbone.

Random colors are sent through the layers of the file before its first
convolution. If the result is M x + b, the backbone's own scaling is set to the
same, so that zero padding behind it stays exact. If M reorders or mixes
channels, it is multiplied into the first kernel W, which becomes W·M.
"""

import dataclasses
from typing import Any

import keras
import numpy as np

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.weights import (
    affine,
    file_layers,
    graphs,
    reports,
    reproducing,
    saved,
    units,
)

# ImageNet's statistics of RGB colors in 0..1.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STDDEV = (0.229, 0.224, 0.225)


def keep(
    backbone: backbones.Backbone,
    file: saved.SavedWeights,
    report: reports.MergeReport,
) -> reports.MergeReport:
    """Makes a backbone scale its images as the file's model does.

    Args:
        backbone: With the file's weights just put into it.
        file: Where they came from.
        report: Matched layers and their paths in the file.

    Returns:
        The report, with notes on the changes.

    Raises:
        RunError: The file's preprocessing is not of the form M x + b.
    """
    if backbone.model.input_shape[-1] != 3:
        return report
    if file.graph is None and isinstance(file.config, dict):
        report = _with(
            report,
            f"The file's model ({file.config.get('class_name')}) preprocesses "
            "pictures in code of its own, which is not run. They are scaled "
            f"as for {backbone.spec.name}, which may differ.",
        )
    first = find_first(backbone.model)
    place = first and file.place_of(report.paths.get(first.name, ""))
    own = reproducing.Reproduction(file.graph, file.arrays_of)
    before = own.before(place) if place else []
    if not before:
        return _fill_normalization(backbone.model, report)
    if any(node.class_name == "Lambda" for node in before):
        return _with(report, _warn_of_lambda(backbone, before))
    theirs = _measure_file(backbone, file, own, place, before)
    ours = _measure(backbone.model, first)
    if affine.are_same(theirs, ours):
        return report
    _set(backbone, file, first, theirs, before)
    return _with(
        report,
        f"The file's model scales pictures itself ({_names(before)}: "
        f"{theirs}); this is kept in place of the scaling of "
        f"{backbone.spec.name} ({ours}).",
    )


def find_first(model: keras.Model) -> Any:
    """Returns the first layer of a model that has a kernel, if there is one."""
    for unit in units.leaves(model):
        if unit.kernel_size:
            return unit.layer
    return None


def scale(model: keras.Model, first: Any, images: np.ndarray) -> np.ndarray:
    """Returns the input of a model's first layer with a kernel.

    Args:
        model: Of a backbone.
        first: From `find_first`.
        images: [batch, size, size, 3] RGB 0..255.
    """
    part = keras.Model(model.inputs[0], _entrance(model, first))
    return np.asarray(part(images, training=False))


def _with(report: reports.MergeReport, note: str) -> reports.MergeReport:
    return dataclasses.replace(report, notes=(*report.notes, note))


def _names(before: list[graphs.Node]) -> str:
    return reports.listed(
        [f"{node.class_name} {node.name!r}" for node in before]
    )


def _warn_of_lambda(
    backbone: backbones.Backbone, before: list[graphs.Node]
) -> str:
    return (
        f"The file's model preprocesses pictures by {_names(before)}; a Lambda "
        "holds code and is not run. Pictures are scaled as for "
        f"{backbone.spec.name}, which may differ."
    )


def _entrance(model: keras.Model, first: Any) -> keras.KerasTensor:
    """Returns the input tensor of the first layer, before zero padding."""
    for layer in model.layers:
        inside = getattr(layer, "layers", None) or [layer]
        if any(each is first for each in inside):
            break
    tensor = layer.input
    while True:
        before = tensor._keras_history.operation
        if not isinstance(before, keras.layers.ZeroPadding2D):
            return tensor
        tensor = before.input


def _measure(model: keras.Model, first: Any) -> affine.Affine:
    side = model.input_shape[1]
    colors = affine.draw_colors()
    pictures = np.tile(colors, (1, side, side, 1))
    return affine.fit(colors, scale(model, first, pictures))


def _measure_file(
    backbone: backbones.Backbone,
    file: saved.SavedWeights,
    own: reproducing.Reproduction,
    place: graphs.Place,
    before: list[graphs.Node],
) -> affine.Affine:
    side = backbone.model.input_shape[1]
    colors = affine.draw_colors()
    try:
        pictures = np.tile(colors, (1, side, side, 1))
        found = affine.fit(colors, own.input_of(place, pictures))
    except file_layers.Unreadable as error:
        raise errors.RunError(
            f"{_refusal(backbone, file, before)}: {error} is not supported. "
            f"{_ADVICE}"
        ) from error
    if found is None:
        raise errors.RunError(
            f"{_refusal(backbone, file, before)}: it is more than a scale and "
            f"an offset for each color. {_ADVICE}"
        )
    return found


_ADVICE = (
    "Save the network behind it alone (model.get_layer(NAME).save("
    "'network.keras')), if it was trained on pictures that are scaled as here."
)


def _refusal(
    backbone: backbones.Backbone,
    file: saved.SavedWeights,
    before: list[graphs.Node],
) -> str:
    return (
        f"The model in {file.path} preprocesses pictures by {_names(before)}, "
        f"which cannot replace the scaling of {backbone.spec.name}"
    )


def _set(
    backbone: backbones.Backbone,
    file: saved.SavedWeights,
    first: Any,
    wanted: affine.Affine,
    before: list[graphs.Node],
) -> None:
    """Sets the backbone's own scaling, and its first kernel if needed.

    Its chain is T(S(Q x)): Q orders channels, S is the layer that is set, T is
    what comes behind it. A·T(S(Q x)) = M x + b is solved for S = (scale,
    offset) and A, which goes into the kernel.
    """
    layer = _adjustable(backbone.model, first)
    channels = {len(wanted.offset), len(_measure(backbone.model, first).offset)}
    if channels != {3}:
        raise errors.RunError(
            f"{_refusal(backbone, file, before)}: it turns the 3 color "
            f"channels into {len(wanted.offset)}. {_ADVICE}"
        )
    if layer is None:
        raise errors.RunError(
            f"{_refusal(backbone, file, before)}, which has no layer for it. "
            f"{_ADVICE}"
        )
    # With S = identity the chain is T(Q x): the pattern of its matrix is Q, its
    # values are T.
    _adjust(layer, np.ones(3), np.zeros(3))
    plain = _measure(backbone.model, first)
    order = (plain.matrix != 0).astype("float64")
    behind = plain.matrix.sum(axis=1)
    pattern = (wanted.matrix != 0).astype("float64")
    if (pattern.sum(0) == 1).all() and (pattern.sum(1) == 1).all():
        # M only reorders channels: one entry in each row and column.
        mixture = pattern @ order.T
        scale = np.diag(mixture.T @ wanted.matrix @ order.T) / behind
    else:
        mixture = wanted.matrix @ order.T
        scale = 1 / behind
    inner = np.linalg.lstsq(mixture, wanted.offset, rcond=None)[0]
    if not np.allclose(mixture @ inner, wanted.offset, rtol=1e-6, atol=1e-6):
        raise errors.RunError(
            f"{_refusal(backbone, file, before)}: colors are mixed. {_ADVICE}"
        )
    _adjust(layer, scale, (inner - plain.offset) / behind)
    if not np.array_equal(mixture, np.eye(3)):
        _mix(backbone, file, first, mixture, before)


def _mix(
    backbone: backbones.Backbone,
    file: saved.SavedWeights,
    first: Any,
    mixture: np.ndarray,
    before: list[graphs.Node],
) -> None:
    kernel = np.asarray(first.kernel, "float64")
    if not isinstance(first, keras.layers.Conv2D) or kernel.shape[2] != 3:
        raise errors.RunError(
            f"{_refusal(backbone, file, before)}: channels are in another "
            f"order. {_ADVICE}"
        )
    # W·M on every position: Σ_j W[h, w, j, o] M[j, i]
    first.kernel.assign(np.einsum("hwjo,ji->hwio", kernel, mixture))


def _adjustable(model: keras.Model, first: Any) -> Any:
    part = keras.Model(model.inputs[0], _entrance(model, first))
    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    for kind in kinds:
        for layer in part.layers:
            if isinstance(layer, kind) and not layer.weights:
                return layer
    return None


def _adjust(layer: Any, scale: np.ndarray, offset: np.ndarray) -> None:
    if isinstance(layer, keras.layers.Rescaling):
        layer.scale = [float(each) for each in scale]
        layer.offset = [float(each) for each in offset]
        return
    # (x - m) / √v = scale x + offset: m = -offset / scale, v = 1 / scale²
    layer.input_mean = [float(each) for each in -offset / scale]
    layer.input_variance = [float(each) for each in 1 / scale**2]
    layer.build(layer._build_input_shape)


def _fill_normalization(
    model: keras.Model, report: reports.MergeReport
) -> reports.MergeReport:
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
            return _with(
                filled,
                f"The file has no {layer.name!r}: pictures were probably "
                "standardized outside of the network. ImageNet's mean and "
                "standard deviation were filled in.",
            )
    return report
