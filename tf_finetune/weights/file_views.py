"""Views of a weights file: candidates for the layers to match with a model.

A file may hold exactly the model's layers, more around them (a top), or the
model as one layer of a bigger one. Each possibility is a view; the merge takes
the one that matches most.
"""

import dataclasses
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tf_finetune.weights import (
    layer_matching,
    legacy_names,
    model_layers,
    saved_weights,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileView:
    """Layers of a file and of a model, listed for matching.

    Attributes:
        prefix: The part of the file that is listed; "" for all of it.
        units: The model's layers.
        entries: The file's layers.
        ordered: Whether `entries` are in the order of the saved model.
    """

    prefix: str
    units: list[layer_matching.Unit]
    entries: list[layer_matching.Entry]
    ordered: bool


def iterate_views(
    file: saved_weights.SavedWeights, model: Any
) -> Iterator[FileView]:
    """Yields the views of `file` as weights for `model`, the simplest first."""
    if file.kind == "classic_h5":
        yield from _iterate_classic(file, model)
    else:
        yield from _iterate_keras3(file, model)


def _iterate_classic(
    file: saved_weights.SavedWeights, model: Any
) -> Iterator[FileView]:
    layers = [layer for layer in file.layers if layer.arrays]
    flat = model_layers.list_flat_layers(model)
    names = {unit.name for unit in flat}
    kinds = {unit.kind[-1] for unit in flat}
    # 1. The file's layers one to one with the model's, nested models as one.
    whole = [(layer.path, layer.path, layer.arrays) for layer in layers]
    yield FileView(
        prefix="",
        units=model_layers.list_top_layers(model),
        entries=_build_classic_entries(whole, kinds),
        ordered=True,
    )
    parts = {
        layer.path: list(_split_nested_layer(layer, names)) for layer in layers
    }
    if all(len(each) == 1 for each in parts.values()):
        # Versions of Keras order the layers of a file differently; the numbers
        # in their names keep the order of creation.
        yield FileView(
            prefix="",
            units=_order_by_number(flat),
            entries=_order_by_number(_build_classic_entries(whole, kinds)),
            ordered=True,
        )
        return
    # 2. All nested models of the file opened.
    every = [part for each in parts.values() for part in each]
    yield FileView(
        prefix="",
        units=flat,
        entries=_build_classic_entries(every, kinds),
        ordered=True,
    )
    # 3. One nested model of the file alone.
    for path, inside in parts.items():
        if len(inside) > 1:
            yield FileView(
                prefix=path,
                units=_order_by_number(flat),
                entries=_order_by_number(_build_classic_entries(inside, kinds)),
                ordered=True,
            )


def _build_classic_entries(
    layers: Iterable[tuple[str, str, tuple]], kinds: set[str]
) -> list[layer_matching.Entry]:
    """Makes entries from (name, path, arrays) triples in file order."""
    entries = []
    layers = list(layers)
    today = legacy_names.translate_names([name for name, _, _ in layers])
    for place, (name, path, arrays) in enumerate(layers):
        name = _replace_slashes(today.get(name, name))
        base = layer_matching.split_number(name)[0]
        numbered = base in kinds
        entries.append(
            layer_matching.Entry(
                label=name,
                name=None if numbered else name,
                kind=(base,) if numbered else None,
                order=(place,),
                arrays=arrays,
                path=path,
            )
        )
    return entries


def _order_by_number(layers: list[Any]) -> list[Any]:
    """Sets the order of layers to the numbers in their names.

    The numbers tell the order of creation. A nested model's variables are
    stored trainable first, so that their order in the file is not that of the
    graph if parts of it were frozen.
    """
    return [
        dataclasses.replace(
            each,
            order=(
                layer_matching.split_number(getattr(each, "label", each.name))[
                    1
                ],
            ),
        )
        for each in layers
    ]


def _split_nested_layer(
    layer: saved_weights.SavedLayer, names: set[str]
) -> Iterator[tuple[str, str, tuple]]:
    """Splits a nested model's arrays into its layers, by their names."""
    scopes: dict[str, list] = {}
    for array_name, array in zip(layer.array_names, layer.arrays, strict=True):
        scopes.setdefault(posixpath.dirname(array_name), []).append(array)
    if len(scopes) == 1:
        yield layer.path, layer.path, layer.arrays
        return
    for scope, arrays in scopes.items():
        full = _replace_slashes(scope)
        name = full if full in names else posixpath.basename(scope)
        yield name, f"{layer.path}/{scope}", tuple(arrays)


def _replace_slashes(name: str) -> str:
    """Spells "conv1/bn" of old files as Keras 3 does, which has no slash."""
    return name.replace("/", "_")


def _iterate_keras3(
    file: saved_weights.SavedWeights, model: Any
) -> Iterator[FileView]:
    layers = [layer for layer in file.layers if layer.arrays]
    prefixes = {
        prefix for layer in layers for prefix in _iterate_ancestors(layer.path)
    }
    leaves = model_layers.list_layers(model)
    kinds = {unit.kind[-1] for unit in leaves}
    today = legacy_names.translate_names(
        [layer.name or posixpath.basename(layer.path) for layer in layers]
    )
    # Outermost containers first.
    for prefix in sorted(prefixes, key=lambda each: (each.count("/"), each)):
        yield FileView(
            prefix=prefix,
            units=leaves,
            entries=[
                _build_keras3_entry(layer, prefix, kinds, today)
                for layer in layers
                if layer.path.startswith(prefix + "/")
            ],
            ordered=file.graph is not None,
        )


def _build_keras3_entry(
    layer: saved_weights.SavedLayer,
    prefix: str,
    kinds: set[str],
    today: Mapping[str, str],
) -> layer_matching.Entry:
    # Containers alternate: CLASS/layers/CLASS/layers/CLASS.
    keys = layer.path[len(prefix) + 1 :].split("/")[::2]
    split = [layer_matching.split_number(key) for key in keys]
    kind = tuple(base for base, _ in split)
    # A file without names calls layers by class and count, or by their names.
    name = layer.name or keys[-1]
    name = today.get(name, name)
    own = {kind[-1]} if layer.name else kinds
    numbered = layer_matching.split_number(name)[0] in own
    return layer_matching.Entry(
        label=name,
        name=None if numbered else name,
        kind=kind,
        order=tuple(number for _, number in split),
        arrays=layer.arrays,
        path=layer.path,
    )


def _iterate_ancestors(path: str) -> Iterator[str]:
    while "/" in path:
        path = posixpath.dirname(path)
        yield path
