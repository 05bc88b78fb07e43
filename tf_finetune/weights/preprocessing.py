"""What stands in front of a file's network, kept in place of the backbone's.

Pixels of all colors are sent through the layers of the file before its first
convolution. If what comes out is M x + b, the backbone's own scaling is set to
the same: exactly, borders of zeros included. With other orders or mixtures of
channels, M goes into the first kernel W, which is W·M then.
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

# Of an RGB color 0..1, in the networks that standardize their input.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STDDEV = (0.229, 0.224, 0.225)


def keep(
    backbone: backbones.Backbone,
    file: saved.SavedWeights,
    report: reports.MergeReport,
) -> reports.MergeReport:
    """Lets a backbone scale its pictures as the file's network did.

    Args:
        backbone: With the file's weights just put into it.
        file: Where they came from.
        report: What was found where.

    Returns:
        The report, with sentences about what was changed.

    Raises:
        RunError: The file's preprocessing is something else than M x + b.
    """
    if backbone.model.input_shape[-1] != 3:
        return report
    if file.graph is None and isinstance(file.config, dict):
        report = _with(
            report,
            f"What the file's model ({file.config.get('class_name')}) does to "
            "pictures is a program and is not run. They are scaled as "
            f"{backbone.spec.name} does it, which may be something else.",
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
        f"The file scales pictures by itself ({_names(before)}: {theirs}); "
        f"this is kept in place of what {backbone.spec.name} has ({ours}).",
    )


def find_first(model: keras.Model) -> Any:
    """Returns the first layer with a kernel, if it has pictures before it."""
    for unit in units.leaves(model):
        if unit.kernel_size:
            return unit.layer
    return None


def scale(model: keras.Model, first: Any, images: np.ndarray) -> np.ndarray:
    """Returns what a model's first layer with a kernel gets of pictures.

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
        f"In front of the file's network stands {_names(before)}; a Lambda is "
        "a program and is not run. Pictures are scaled as "
        f"{backbone.spec.name} does it, which may be something else."
    )


def _entrance(model: keras.Model, first: Any) -> keras.KerasTensor:
    """Returns what goes into the first layer, before zeros are padded to it."""
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
            f"{_refusal(backbone, file, before)}: {error} is not known here. "
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
        f"In front of the network in {file.path} stands {_names(before)}, "
        f"which cannot be kept in place of the scaling of {backbone.spec.name}"
    )


def _set(
    backbone: backbones.Backbone,
    file: saved.SavedWeights,
    first: Any,
    wanted: affine.Affine,
    before: list[graphs.Node],
) -> None:
    """Sets the backbone's own scaling, and its first kernel if need be.

    Its chain is T(S(Q x)): Q orders channels, S is the layer that is set, T is
    what comes behind it. A·T(S(Q x)) = M x + b is solved for S = (scale,
    offset) and A, which goes into the kernel.
    """
    layer = _adjustable(backbone.model, first)
    channels = {len(wanted.offset), len(_measure(backbone.model, first).offset)}
    if channels != {3}:
        raise errors.RunError(
            f"{_refusal(backbone, file, before)}: it makes "
            f"{len(wanted.offset)} channels of the three colors. {_ADVICE}"
        )
    if layer is None:
        raise errors.RunError(
            f"{_refusal(backbone, file, before)}, which has no layer for it. "
            f"{_ADVICE}"
        )
    _adjust(layer, np.ones(3), np.zeros(3))
    plain = _measure(backbone.model, first)
    order = (plain.matrix != 0).astype("float64")
    behind = plain.matrix.sum(axis=1)
    pattern = (wanted.matrix != 0).astype("float64")
    if (pattern.sum(0) == 1).all() and (pattern.sum(1) == 1).all():
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
    # (x - m) / √v
    layer.input_mean = [float(each) for each in -offset / scale]
    layer.input_variance = [float(each) for each in 1 / scale**2]
    layer.build(layer._build_input_shape)


def _fill_normalization(
    model: keras.Model, report: reports.MergeReport
) -> reports.MergeReport:
    """Fills in ImageNet's statistics where a file leaves them outside."""
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
                f"The file has no {layer.name!r}, as packages have it that "
                "standardize pictures outside of the network: ImageNet's mean "
                "and standard deviation were filled in.",
            )
    return report
