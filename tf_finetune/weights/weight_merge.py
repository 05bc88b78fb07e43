"""One file's weights put into a model: matched, reported, then assigned."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tf_finetune import errors
from tf_finetune.weights import (
    file_views,
    layer_matching,
    merge_report,
    network_search,
    norm_conversion,
    saved_weights,
)

if TYPE_CHECKING:
    import keras

# Smallest share of the parameters in kernels. Below it most layers of the model
# would stay random, and names and shapes may agree by chance.
_MIN_SHARE = 0.5


class ShapeMismatchError(errors.RunError):
    """Error: the file holds the same network in another width or size."""


def merge(
    model: "keras.Model", file: saved_weights.SavedWeights
) -> merge_report.MergeReport:
    """Assigns a file's weights to the layers of a model that they belong to.

    Nothing is assigned before everything is matched and checked. A layer whose
    shapes fit only in part keeps all of its own values.

    Args:
        model: Keras model; changed in place.
        file: The weights file.

    Returns:
        A report on layers that matched and those that did not.

    Raises:
        ShapeMismatchError: Too few layers match, and at least half of the
            names do with other shapes.
        RunError: Too few layers with kernels match, so that it may be chance; a
            kernel in front of matched ones is missing; several networks of the
            file match; or a weight is NaN or infinite.
    """
    found = network_search.find_network(model, file)
    # Reported and checked in full before the first variable is assigned.
    report = _build_report(found, file)
    _check_share(found, file)
    _check_order(found, file)
    copies = network_search.check_unique(model, file, found)
    for _, entry in found.matching.pairs:
        _check_finite(entry, file)
    pairs, notes = found.matching.pairs, ()
    arrays = {
        id(variable): array
        for unit, entry in pairs
        # Not strict: a bias, always the last, may be on one side alone.
        for variable, array in zip(unit.variables, entry.arrays, strict=False)
    }
    if not _has_same_layers(pairs, file):
        notes = norm_conversion.convert_arrays(
            model,
            pairs,
            arrays,
            epsilon_of=lambda entry: file.find_epsilon(entry.path),
        )
    for unit, _ in pairs:
        for variable in unit.variables:
            variable.assign(arrays[id(variable)].astype(variable.dtype))
    _finalize_layers(model)
    return dataclasses.replace(report, notes=copies + notes)


def _has_same_layers(
    pairs: norm_conversion.Pairs, file: saved_weights.SavedWeights
) -> bool:
    """Returns whether biases and epsilons of all pairs are the same."""
    return all(
        len(entry.arrays) == len(unit.variables)
        and (
            type(unit.layer).__name__ != "BatchNormalization"
            or file.find_epsilon(entry.path) in (None, unit.layer.epsilon)
        )
        for unit, entry in pairs
    )


def _build_report(
    found: network_search.NetworkMatch, file: saved_weights.SavedWeights
) -> merge_report.MergeReport:
    view, found = found.view, found.matching
    matched = {id(unit) for unit, _ in found.pairs}
    unfit = {id(unit) for unit, _ in found.unfit}
    taken = {entry.path for _, entry in found.pairs + found.unfit}
    unused = [entry for entry in view.entries if entry.path not in taken]
    parts = {entry.path for entry in view.entries}
    # What lies outside the view is unused as well.
    outside = [
        layer.name or layer.path
        for layer in file.layers
        if layer.arrays
        and layer.path not in parts
        and not any(path.startswith(layer.path + "/") for path in parts)
    ]
    return merge_report.MergeReport(
        matched=tuple(u.name for u in view.units if id(u) in matched),
        by_order=tuple(unit.name for unit, _ in found.by_order),
        missing=tuple(
            unit.name for unit in view.units if id(unit) not in matched | unfit
        ),
        unused=tuple([entry.label for entry in unused] + outside),
        mismatched=tuple(
            merge_report.Mismatch(
                name=unit.name, model=unit.shapes, file=entry.shapes
            )
            for unit, entry in found.unfit
        ),
        prefix=view.prefix,
        share=compute_share(view, found),
        paths={unit.name: entry.path for unit, entry in found.pairs},
        deeper=tuple(
            entry.label for entry in unused if _has_wide_kernel(entry)
        ),
    )


def compute_share(
    view: file_views.FileView, found: layer_matching.LayerMatches
) -> float | None:
    """Computes the matched share of the parameters in a model's kernels.

    Args:
        view: Layers of the model and of the file.
        found: Their matches.

    Returns:
        Value in 0..1; None if the model has no kernels.
    """
    total = sum(unit.kernel_size for unit in view.units)
    return found.kernel_size / total if total else None


def _has_wide_kernel(entry: layer_matching.Entry) -> bool:
    # A kernel of a 2D convolution is [height, width, inputs, outputs].
    return any(len(shape) == 4 and max(shape[:2]) > 1 for shape in entry.shapes)


def _check_share(
    found: network_search.NetworkMatch, file: saved_weights.SavedWeights
) -> None:
    """Raises `RunError` if too few layers match to count as pretraining.

    Statistics of batch norm and of the input are no evidence of a network, and
    without the kernels they belong to they are worth nothing.
    """
    view, found = found.view, found.matching
    learned = [unit for unit, _ in found.pairs if unit.kernel_size]
    share = compute_share(view, found)
    if share is None:  # A model without kernels: layers are counted.
        learned = [unit for unit, _ in found.pairs]
        share = len(learned) / max(len(view.units), 1)
    if share >= _MIN_SHARE and len(learned) > len(found.unfit):
        return
    # Only names that people chose can disagree in shape.
    named = [unit for unit in view.units if not unit.is_numbered]
    # Half of the names agree and their shapes do not: the same network in
    # another width.
    if found.unfit and 2 * len(found.unfit) >= len(named):
        shapes = [
            merge_report.Mismatch(
                name=unit.name, model=unit.shapes, file=entry.shapes
            )
            for unit, entry in found.unfit
        ]
        raise ShapeMismatchError(
            f"The weights of {file.path} do not fit the model: "
            f"{len(found.unfit)} layers have other shapes, e.g. "
            f"{merge_report.join_names(shapes, shown=2)}. They belong to "
            "another width or size of this network; check --backbone (e.g. "
            "mobilenet@0.25) and --weights."
        )
    raise errors.RunError(
        f"{_describe_matches(view, found, share, file)} The file holds "
        f"{_join_examples(view.entries)}; the model has "
        f"{_join_examples(view.units)}. These are probably the weights of "
        "another backbone; check --backbone and --weights."
    )


def _check_order(
    found: network_search.NetworkMatch, file: saved_weights.SavedWeights
) -> None:
    """Raises `RunError` if a random kernel stands before those of the file.

    Layers behind the last one of the file may stay random; a random layer in
    front of pretrained ones feeds them inputs they were never trained on.
    """
    matched = {id(unit) for unit, _ in found.matching.pairs}
    kernels = [unit for unit in found.view.units if unit.kernel_size]
    found_at = (n for n, unit in enumerate(kernels) if id(unit) in matched)
    last = max(found_at, default=0)
    # Only layers in front of the last matched one count: the rest may be new.
    gaps = [unit for unit in kernels[:last] if id(unit) not in matched]
    if not gaps:
        return
    other = {
        unit.name: merge_report.Mismatch(
            name=unit.name, model=unit.shapes, file=entry.shapes
        )
        for unit, entry in found.matching.unfit
    }
    words = [
        other.get(unit.name, f"{unit.name} (not in the file)") for unit in gaps
    ]
    raise errors.RunError(
        f"{len(gaps)} of {len(kernels)} layers with kernels cannot be read "
        f"from {file.path}, in front of others that can: "
        f"{merge_report.join_names(words, shown=4)}. Their kernels would stay "
        "random, and the layers behind them would get inputs that they were "
        "not trained on. Check --backbone and --weights."
    )


def _describe_matches(
    view: file_views.FileView,
    found: layer_matching.LayerMatches,
    share: float,
    file: saved_weights.SavedWeights,
) -> str:
    kernels = [unit for unit in view.units if unit.kernel_size]
    matched = sum(1 for unit, _ in found.pairs if unit.kernel_size)
    count, total = len(found.pairs), len(view.units)
    if not count:
        return f"None of the {total} layers of the model matches {file.path}."
    verb = "matches" if count == 1 else "match"
    first = f"{count} of {total} layers of the model {verb} {file.path}"
    if not kernels:
        return f"{first}."
    if not matched:
        return f"{first}, but none of the {len(kernels)} with kernels."
    return (
        f"{first}, {matched} of the {len(kernels)} with kernels, which have "
        f"{merge_report.format_share(share)} of the kernels' parameters."
    )


def _join_examples(
    layers: Sequence[layer_matching.Unit | layer_matching.Entry],
) -> str:
    words = [
        f"{getattr(each, 'label', each.name)} {list(each.shapes[0])}"
        for each in layers
    ]
    return merge_report.join_names(words, shown=4)


def _check_finite(
    entry: layer_matching.Entry, file: saved_weights.SavedWeights
) -> None:
    for array in entry.arrays:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise errors.RunError(
                f"The weights of {file.path} hold NaN or infinite values, "
                f"first in layer {entry.label!r}: the run that wrote them "
                "diverged, or the file is damaged. Nothing was loaded."
            )


def _finalize_layers(model: "keras.Model") -> None:
    """Lets layers recompute values derived from their weights."""
    for layer in model.layers:
        # Normalization derives its broadcast mean and variance from weights.
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
