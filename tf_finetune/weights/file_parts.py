"""Selection of a part of a weights file: `--weights=FILE::PART`."""

import dataclasses
import os
import pathlib
import posixpath
from collections.abc import Collection

from tf_finetune import errors
from tf_finetune.weights import config_graph, saved_weights

_SHOWN = 10
_LAYERS = ("layers", "_layer_checkpoint_dependencies")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """The file and the part of it that `--weights` names.

    Attributes:
        path: Of the file or folder.
        part: Name of a part of it; "" for all of it.
    """

    path: pathlib.Path
    part: str = ""


def parse_source(weights: str) -> WeightsSource:
    """Splits "FILE::PART", unless a file of that whole name exists."""
    whole = pathlib.Path(weights).expanduser()
    # From the right: the path itself may contain "::".
    name, sign, part = weights.rpartition("::")
    if not sign or not name or os.path.lexists(whole):
        return WeightsSource(path=whole)
    return WeightsSource(
        path=pathlib.Path(name).expanduser(), part=part.strip("/")
    )


def select_part(
    file: saved_weights.SavedWeights, part: str
) -> saved_weights.SavedWeights:
    """Returns a weights file reduced to one of its parts.

    Args:
        file: The whole file.
        part: A path in the file ("layers/functional_1"), the name of a model
            in it ("teacher"), a prefix of names of layers ("student_"), or the
            first layer of a network, which then reaches to the end.

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
    known = list_parts(file)
    there = ", ".join(known[:_SHOWN]) or "none"
    more = len(known) - _SHOWN
    raise errors.UsageError(
        f"--weights={file.path}::{part}: the file has no part of this name. "
        f"Parts: {there}{f' and {more} more' if more > 0 else ''}."
    )


def list_parts(file: saved_weights.SavedWeights) -> list[str]:
    """Returns names of the models in a file; without any, of its layers."""
    inner = list(_map_models(file))
    if not inner:
        parents = {posixpath.dirname(each.path) for each in file.layers}
        inner = sorted(p for p in parents if p not in ("", *_LAYERS))
    if inner:
        return inner
    return [layer.name or layer.path for layer in file.layers if layer.arrays]


def find_model_name(file: saved_weights.SavedWeights, prefix: str) -> str:
    """Returns the name of the model at a path of a file, or else the path."""
    prefix = prefix.removesuffix("/layers")
    for name, path in _map_models(file).items():
        if path == prefix:
            return name
    return prefix


def find_first_layer(
    file: saved_weights.SavedWeights, paths: Collection[str]
) -> str:
    """Returns the name of the first layer in file order among `paths`."""
    for layer in file.layers:
        if layer.path in paths:
            return layer.name or layer.path
    return min(paths)


def _select_under(
    file: saved_weights.SavedWeights, part: str
) -> tuple[saved_weights.SavedLayer, ...]:
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


def _is_network(
    file: saved_weights.SavedWeights, kept: tuple[saved_weights.SavedLayer, ...]
) -> bool:
    """Returns whether layers are a network rather than a single layer."""
    # A classic .h5 keeps a nested model as one layer, with the arrays of all;
    # batch norm, the single layer with most, has 4.
    if file.kind == "classic_h5":
        return any(len(layer.arrays) > 4 for layer in kept)
    return len(kept) > 1


def _select_prefix(
    file: saved_weights.SavedWeights, part: str
) -> tuple[saved_weights.SavedLayer, ...]:
    kept = tuple(
        layer for layer in file.layers if (layer.name or "").startswith(part)
    )
    return kept if sum(bool(layer.arrays) for layer in kept) > 1 else ()


def _select_from(
    file: saved_weights.SavedWeights, part: str
) -> tuple[saved_weights.SavedLayer, ...]:
    """Returns the layers from the named one on, where the file has an order."""
    if file.kind != "classic_h5" and file.graph is None:
        return ()
    for place, layer in enumerate(file.layers):
        if part in (layer.name, layer.path):
            return file.layers[place:]
    return ()


def _map_models(file: saved_weights.SavedWeights) -> dict[str, str]:
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


def sort_layers(file: saved_weights.SavedWeights) -> saved_weights.SavedWeights:
    """Returns a Keras 3 file with its layers in the order of its graph."""
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
