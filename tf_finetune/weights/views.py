"""Views of a weights file: candidates for the layers to match with a model.

A file may hold exactly the model's layers, more around them (a top), or the
model as one layer of a bigger one. Each possibility is a view; the merge takes
the one that matches most.
"""

import dataclasses
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tf_finetune.weights import matching, old_names, saved, units


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """Layers of a file and of a model, listed for matching.

    Attributes:
        prefix: The part of the file that is listed; "" for all of it.
        units: The model's layers.
        entries: The file's layers.
        ordered: Whether `entries` are in the order of the saved model.
    """

    prefix: str
    units: list[matching.Unit]
    entries: list[matching.Entry]
    ordered: bool


def of(file: saved.SavedWeights, model: Any) -> Iterator[View]:
    """Yields the views of `file` as weights for `model`, the simplest first."""
    if file.kind == "classic_h5":
        yield from _classic(file, model)
    else:
        yield from _keras3(file, model)


def _classic(file: saved.SavedWeights, model: Any) -> Iterator[View]:
    layers = [layer for layer in file.layers if layer.arrays]
    flat = units.flat_leaves(model)
    names = {unit.name for unit in flat}
    kinds = {unit.kind[-1] for unit in flat}
    # 1. The file's layers one to one with the model's, nested models as one.
    whole = [(layer.path, layer.path, layer.arrays) for layer in layers]
    yield View(
        prefix="",
        units=units.wholes(model),
        entries=_classic_entries(whole, kinds),
        ordered=True,
    )
    parts = {layer.path: list(_parts(layer, names)) for layer in layers}
    if all(len(each) == 1 for each in parts.values()):
        # Versions of Keras order the layers of a file differently; the numbers
        # in their names keep the order of creation.
        yield View(
            prefix="",
            units=_by_number(flat),
            entries=_by_number(_classic_entries(whole, kinds)),
            ordered=True,
        )
        return
    # 2. All nested models of the file opened.
    every = [part for each in parts.values() for part in each]
    yield View(
        prefix="",
        units=flat,
        entries=_classic_entries(every, kinds),
        ordered=True,
    )
    # 3. One nested model of the file alone.
    for path, inside in parts.items():
        if len(inside) > 1:
            yield View(
                prefix=path,
                units=_by_number(flat),
                entries=_by_number(_classic_entries(inside, kinds)),
                ordered=True,
            )


def _classic_entries(
    layers: Iterable[tuple[str, str, tuple]], kinds: set[str]
) -> list[matching.Entry]:
    """Makes entries from (name, path, arrays) triples in file order."""
    entries = []
    layers = list(layers)
    today = old_names.translate([name for name, _, _ in layers])
    for place, (name, path, arrays) in enumerate(layers):
        name = _flat(today.get(name, name))
        base = matching.split_number(name)[0]
        numbered = base in kinds
        entries.append(
            matching.Entry(
                label=name,
                name=None if numbered else name,
                kind=(base,) if numbered else None,
                order=(place,),
                arrays=arrays,
                path=path,
            )
        )
    return entries


def _by_number(layers: list[Any]) -> list[Any]:
    """Sets the order of layers to the numbers in their names.

    The numbers tell the order of creation. A nested model's variables are
    stored trainable first, so that their order in the file is not that of the
    graph if parts of it were frozen.
    """
    return [
        dataclasses.replace(
            each,
            order=(
                matching.split_number(getattr(each, "label", each.name))[1],
            ),
        )
        for each in layers
    ]


def _parts(
    layer: saved.SavedLayer, names: set[str]
) -> Iterator[tuple[str, str, tuple]]:
    """Splits a nested model's arrays into its layers, by their names."""
    scopes: dict[str, list] = {}
    for array_name, array in zip(layer.array_names, layer.arrays, strict=True):
        scopes.setdefault(posixpath.dirname(array_name), []).append(array)
    if len(scopes) == 1:
        yield layer.path, layer.path, layer.arrays
        return
    for scope, arrays in scopes.items():
        full = _flat(scope)
        name = full if full in names else posixpath.basename(scope)
        yield name, f"{layer.path}/{scope}", tuple(arrays)


def _flat(name: str) -> str:
    """Spells "conv1/bn" of old files as Keras 3 does, which has no slash."""
    return name.replace("/", "_")


def _keras3(file: saved.SavedWeights, model: Any) -> Iterator[View]:
    layers = [layer for layer in file.layers if layer.arrays]
    prefixes = {prefix for layer in layers for prefix in _ancestors(layer.path)}
    leaves = units.leaves(model)
    kinds = {unit.kind[-1] for unit in leaves}
    today = old_names.translate(
        [layer.name or posixpath.basename(layer.path) for layer in layers]
    )
    # Outermost containers first.
    for prefix in sorted(prefixes, key=lambda each: (each.count("/"), each)):
        yield View(
            prefix=prefix,
            units=leaves,
            entries=[
                _keras3_entry(layer, prefix, kinds, today)
                for layer in layers
                if layer.path.startswith(prefix + "/")
            ],
            ordered=file.graph is not None,
        )


def _keras3_entry(
    layer: saved.SavedLayer,
    prefix: str,
    kinds: set[str],
    today: Mapping[str, str],
) -> matching.Entry:
    # Containers alternate: CLASS/layers/CLASS/layers/CLASS.
    keys = layer.path[len(prefix) + 1 :].split("/")[::2]
    split = [matching.split_number(key) for key in keys]
    kind = tuple(base for base, _ in split)
    # A file without names calls layers by class and count, or by their names.
    name = layer.name or keys[-1]
    name = today.get(name, name)
    own = {kind[-1]} if layer.name else kinds
    numbered = matching.split_number(name)[0] in own
    return matching.Entry(
        label=name,
        name=None if numbered else name,
        kind=kind,
        order=tuple(number for _, number in split),
        arrays=layer.arrays,
        path=layer.path,
    )


def _ancestors(path: str) -> Iterator[str]:
    while "/" in path:
        path = posixpath.dirname(path)
        yield path
