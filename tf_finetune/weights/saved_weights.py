"""Content of a weights file, as plain arrays."""

import dataclasses
import pathlib
import posixpath
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from tf_finetune.weights import config_graph

Kind = Literal["classic_h5", "keras3_h5", "keras", "workdir", "torch"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SavedLayer:
    """One layer of a file.

    Attributes:
        path: Its path in the file: the layer's name in a classic .h5,
            "layers/conv2d_3" or "layers/functional/layers/dense" otherwise.
        name: The name its layer had; None where the file does not say.
        arrays: In the order of the layer's variables; empty for a layer
            without weights.
        array_names: As a classic .h5 spells them ("conv1/kernel:0"); else the
            positions "0", "1", ….
    """

    path: str
    name: str | None
    arrays: tuple[np.ndarray, ...]
    array_names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SavedWeights:
    """The content of a weights file.

    Attributes:
        kind: classic_h5 (Keras 1, 2 and `model.save("x.h5")`), keras3_h5
            (`.weights.h5`), keras (`.keras`) or workdir (of an earlier run).
        path: The file that was read; in a workdir, its model.weights.h5.
        sha256: Of that file.
        layers: In file order, those without weights included.
        config: The model's config where the file has one; plain JSON, never
            turned into objects.
        backbone: The `--backbone` of a workdir's run; None elsewhere.
        graph: The graph that the config describes, if it describes one.
        epsilon: Of every batch norm, where a file without config is known to
            have one.
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
        """Returns the place in the graph of the layer at a path."""
        return self._places().get(self._shorten_path(path))

    def find_arrays(
        self, place: config_graph.LayerPlace
    ) -> tuple[np.ndarray, ...]:
        """Returns the arrays of a layer of the graph; () where it has none."""
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
        """Returns the epsilon of the batch norm at a path, if it is known."""
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
