"""Content of a weights file, as plain arrays."""

import dataclasses
import pathlib
import posixpath
from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np

from tf_finetune import errors
from tf_finetune.weights import config_graph

Kind = Literal["classic_h5", "keras3_h5", "keras", "workdir", "torch"]
_SHOWN = 10
_LAYERS = ("layers", "_layer_checkpoint_dependencies")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SavedLayer:
    """One layer of a weights file.

    Attributes:
        path: Its path in the file: the layer's name in a classic .h5 (of Keras
            1 and 2), else "layers/conv2d_3" or, in a nested model,
            "layers/functional/layers/dense".
        name: The name its layer had; None where the file does not say.
        arrays: In the order of the layer's variables; empty for a layer
            without weights.
        array_names: One for each array: "conv1/kernel:0" in a classic .h5,
            else "0", "1", ….
    """

    path: str
    name: str | None
    arrays: tuple[np.ndarray, ...]
    array_names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SavedWeights:
    """Content of a weights file.

    Attributes:
        kind: classic_h5 (Keras 1, 2 and `model.save("x.h5")`), keras3_h5
            (`.weights.h5`), keras (`.keras`) or workdir (of an earlier run).
        path: The file that was read; in a workdir, its model.weights.h5.
        sha256: Hash of that file, hexadecimal.
        layers: Layers in file order, those without weights included.
        config: The model's config where the file has one; plain JSON, never
            turned into objects.
        backbone: The `--backbone` of the run that a workdir or a file of
            weights is of; None if it is not known.
        graph: The graph that the config describes; None without one.
        epsilon: Epsilon of every batch norm, known of old ResNet files without
            config; else None.
        part: The part named behind "::" in `--weights`; "" for the whole file.
    """

    kind: Kind
    path: pathlib.Path
    sha256: str
    layers: tuple[SavedLayer, ...]
    config: dict[str, Any] | None = None
    backbone: str | None = None
    graph: config_graph.Graph | None = None
    epsilon: float | None = None
    part: str = ""

    def find_place(self, path: str) -> config_graph.LayerPlace | None:
        """Finds the layer at a path of the file in the graph of its config.

        Args:
            path: As `SavedLayer.path`, or with the scope of a layer in a nested
                model.

        Returns:
            The layer with the models that contain it; None without a graph, or
            if it has no such layer or two that cannot be told apart.
        """
        return self._places().get(self._shorten_path(path))

    def find_arrays(
        self, place: config_graph.LayerPlace
    ) -> tuple[np.ndarray, ...]:
        """Finds the arrays of a layer of the graph, in order; () for none."""
        wanted = self._build_key(place)
        for layer in self.layers:
            if self.kind != "classic_h5":
                if layer.path == wanted:
                    return layer.arrays
                continue
            if layer.path == wanted:
                return layer.arrays
            # A classic .h5 keeps a nested model as one layer: its arrays are
            # told apart by the scopes in their names.
            if place.models and layer.path == place.models[0].name:
                return tuple(
                    array
                    for name, array in zip(
                        layer.array_names, layer.arrays, strict=True
                    )
                    if self._shorten_path(
                        f"{layer.path}/{posixpath.dirname(name)}"
                    )
                    == wanted
                )
        return ()

    def find_epsilon(self, path: str) -> float | None:
        """Finds the epsilon of the batch norm at a path; None if unknown."""
        place = self.find_place(path)
        if place is None:
            return self.epsilon
        value = place.node.config.get("epsilon", self.epsilon)
        return float(value) if isinstance(value, int | float) else None

    def _places(self) -> Mapping[str, config_graph.LayerPlace]:
        found: dict[str, config_graph.LayerPlace] = {}
        # Two layers of one key cannot be told apart: neither is returned.
        twice = set()
        for place in (
            config_graph.iterate_layers(self.graph) if self.graph else ()
        ):
            key = self._build_key(place)
            twice |= {key} & set(found)
            found[key] = place
        return {k: v for k, v in found.items() if k not in twice}

    def _build_key(self, place: config_graph.LayerPlace) -> str:
        if self.kind != "classic_h5":
            return place.node.path
        if not place.models:
            return place.node.name
        return f"{place.models[0].name}/{place.node.name}"

    def _shorten_path(self, path: str) -> str:
        """Removes from a path the models between the top one and the layer."""
        if self.kind != "classic_h5":
            return path
        if any(layer.path == path for layer in self.layers):
            return path
        for layer in self.layers:
            if path.startswith(layer.path + "/"):
                return f"{layer.path}/{posixpath.basename(path)}"
        return path


def select_part(file: SavedWeights, part: str) -> SavedWeights:
    """Reduces a weights file to one of its parts.

    Args:
        file: The whole file.
        part: A path in the file ("layers/functional_1"), the name of a model
            in it ("teacher"), a prefix of names of layers ("student_"), or the
            first layer of a network, which then reaches to the end; "" for the
            whole file.

    Returns:
        A copy with the layers of the part, or `file` itself.

    Raises:
        UsageError: There is no such part; the message lists the parts.
    """
    if not part:
        return file
    # Exact names before prefixes of names, those before "from here to the end".
    for kept in (
        _select_under(file, part),
        _select_prefix(file, part),
        _select_from(file, part),
    ):
        if any(layer.arrays for layer in kept):
            return dataclasses.replace(file, layers=kept, part=part)
    known = _list_parts(file)
    there = ", ".join(known[:_SHOWN]) or "none"
    more = len(known) - _SHOWN
    raise errors.UsageError(
        f"--weights={file.path}::{part}: the file has no part of this name. "
        f"Parts: {there}{f' and {more} more' if more > 0 else ''}."
    )


def find_model_name(file: SavedWeights, prefix: str) -> str:
    """Finds the name of the nested model at a path of a file.

    Args:
        file: The weights file.
        prefix: Path of the model, with "/layers" at its end or not.

    Returns:
        The model's name; without a model there, the path without "/layers".
    """
    prefix = prefix.removesuffix("/layers")
    for name, path in _map_models(file).items():
        if path == prefix:
            return name
    return prefix


def find_first_layer(file: SavedWeights, paths: Collection[str]) -> str:
    """Finds the name, or else the path, of the first layer among `paths`."""
    for layer in file.layers:
        if layer.path in paths:
            return layer.name or layer.path
    return min(paths)


def sort_layers(file: SavedWeights) -> SavedWeights:
    """Sorts the layers of a Keras 3 file by the order of its graph.

    Returns:
        A sorted copy; `file` itself if it is a classic .h5 or has no graph.
    """
    if file.graph is None or file.kind == "classic_h5":
        return file
    known = {
        place.node.path: number
        for number, place in enumerate(config_graph.iterate_layers(file.graph))
    }
    # Layers that the graph does not know stay at the end, in file order.
    layers = sorted(
        file.layers, key=lambda each: known.get(each.path, len(known))
    )
    return dataclasses.replace(file, layers=tuple(layers))


def _list_parts(file: SavedWeights) -> list[str]:
    """Returns names of the models in a file; without any, of its layers."""
    inner = list(_map_models(file))
    if not inner:
        parents = {posixpath.dirname(each.path) for each in file.layers}
        inner = sorted(p for p in parents if p not in ("", *_LAYERS))
    if inner:
        return inner
    return [layer.name or layer.path for layer in file.layers if layer.arrays]


def _select_under(file: SavedWeights, part: str) -> tuple[SavedLayer, ...]:
    wanted = {part, f"layers/{part}"}
    path = _map_models(file).get(part)
    if path:
        wanted.add(path)
    kept = tuple(
        layer
        for layer in file.layers
        if layer.path in wanted
        or any(layer.path.startswith(each + "/") for each in wanted)
    )
    return kept if _is_network(file, kept) else ()


def _is_network(file: SavedWeights, kept: tuple[SavedLayer, ...]) -> bool:
    """Returns whether layers are a network rather than a single layer."""
    # A classic .h5 keeps a nested model as one layer, with the arrays of all;
    # batch norm, the single layer with most, has 4.
    if file.kind == "classic_h5":
        return any(len(layer.arrays) > 4 for layer in kept)
    return len(kept) > 1


def _select_prefix(file: SavedWeights, part: str) -> tuple[SavedLayer, ...]:
    kept = tuple(
        layer for layer in file.layers if (layer.name or "").startswith(part)
    )
    return kept if sum(bool(layer.arrays) for layer in kept) > 1 else ()


def _select_from(file: SavedWeights, part: str) -> tuple[SavedLayer, ...]:
    """Returns the layers from the named one on, where the file has an order."""
    if file.kind != "classic_h5" and file.graph is None:
        return ()
    for place, layer in enumerate(file.layers):
        if part in (layer.name, layer.path):
            return file.layers[place:]
    return ()


def _map_models(file: SavedWeights) -> dict[str, str]:
    """Returns the paths of the models in a file, by their names."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    pending = [file.graph] if file.graph else []
    while pending:
        for node in pending.pop().nodes.values():
            if node.inner is None:
                continue
            # A name that occurs twice identifies neither model.
            twice |= {node.name} & set(found)
            classic = file.kind == "classic_h5"
            found[node.name] = node.name if classic else node.path
            pending.append(node.inner)
    if file.kind == "classic_h5":
        return {
            layer.path: layer.path
            for layer in file.layers
            if len(layer.arrays) > 4
        }
    return {name: path for name, path in found.items() if name not in twice}
