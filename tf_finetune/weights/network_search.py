"""Search for the network of a file that fits a model, and for a second one."""

import dataclasses
import os.path
import posixpath
from typing import Any

import numpy as np

from tf_finetune import errors
from tf_finetune.weights import file_views, layer_matching, saved_weights

# A second match counts as a second network from this share of the first on.
_SECOND_SHARE = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkMatch:
    """Layers of a file or of a part of it, matched with those of a model.

    Attributes:
        view: The listed layers of the file and of the model.
        matching: Pairs of a layer of the model and one of the file.
    """

    view: file_views.FileView
    matching: layer_matching.LayerMatches


def find_network(model: Any, file: saved_weights.SavedWeights) -> NetworkMatch:
    """Finds the part of a file that matches most of a model.

    Args:
        model: Keras model.
        file: The weights file; it may match badly or not at all, see
            `NetworkMatch.matching`.

    Raises:
        RunError: The file holds no layers with weights.
    """
    best = None
    for view in file_views.iterate_views(file, model):
        found = layer_matching.match_layers(
            view.units, view.entries, ordered=view.ordered
        )
        # Of equal views the narrowest: it says best where the model lies, and
        # leaves the layers around it out of every comparison by order.
        narrow = len(view.prefix)
        arrays = sum(len(entry.arrays) for _, entry in found.pairs)
        score = (found.kernel_size, arrays, -len(found.unfit), narrow)
        if best is None or score > best[0]:
            best = (score, NetworkMatch(view=view, matching=found))
    if best is None:
        raise errors.RunError(f"{file.path} holds no layers with weights.")
    return best[1]


def check_unique(
    model: Any, file: saved_weights.SavedWeights, first: NetworkMatch
) -> tuple[str, ...]:
    """Checks that no other network of the file fits the model as well.

    Args:
        model: Keras model.
        file: The weights file.
        first: The result of `find_network`.

    Returns:
        A sentence about bitwise equal copies; empty if there are none.

    Raises:
        RunError: Another network with other weights fits; the message names
            both.
    """
    # Networks that fit, the best match first.
    every = [first]
    rest = file
    while first.matching.kernel_size:
        # Search again in the part of the file that did not match yet.
        rest = _exclude_matched(rest, every[-1])
        if not any(layer.arrays for layer in rest.layers):
            break
        another = find_network(model, rest)
        size = another.matching.kernel_size
        if size < _SECOND_SHARE * first.matching.kernel_size:
            break
        every.append(another)
    if len(every) == 1:
        return ()
    names = sorted(_name_networks(file, every))
    if all(_is_equal(first, each) for each in every[1:]):
        return (
            f"The file holds the network {len(every)} times, with equal "
            f"weights ({', '.join(names)}).",
        )
    ways = [f"--weights={file.path}::{name}" for name in names]
    raise errors.RunError(
        f"{file.path} holds {len(every)} networks that fit the model, with "
        f"different weights: {_join_words(names, 'and')}. Choose "
        f"one: {_join_words(ways, 'or')}."
    )


def _join_words(words: list[str], word: str) -> str:
    return f"{', '.join(words[:-1])} {word} {words[-1]}"


def _exclude_matched(
    file: saved_weights.SavedWeights, found: NetworkMatch
) -> saved_weights.SavedWeights:
    """Returns the file without the layers that were matched."""
    taken = {entry.path for _, entry in found.matching.pairs}
    layers = []
    for layer in file.layers:
        if layer.path in taken:
            continue
        kept = [
            (name, array)
            for name, array in zip(layer.array_names, layer.arrays, strict=True)
            if f"{layer.path}/{posixpath.dirname(name)}" not in taken
        ]
        layers.append(
            dataclasses.replace(
                layer,
                array_names=tuple(name for name, _ in kept),
                arrays=tuple(array for _, array in kept),
            )
        )
    return dataclasses.replace(file, layers=tuple(layers))


def _is_equal(first: NetworkMatch, other: NetworkMatch) -> bool:
    theirs = {
        id(unit.variables[0]): entry for unit, entry in other.matching.pairs
    }
    for unit, entry in first.matching.pairs:
        twin = theirs.get(id(unit.variables[0]))
        if twin is None or entry.shapes != twin.shapes:
            return False
        for one, two in zip(entry.arrays, twin.arrays, strict=True):
            if not np.array_equal(one, two, equal_nan=one.dtype.kind == "f"):
                return False
    return True


def _name_networks(
    file: saved_weights.SavedWeights, every: list[NetworkMatch]
) -> list[str]:
    """Returns a name of each network that `--weights=FILE::NAME` accepts."""
    names = [
        saved_weights.find_model_name(file, found.view.prefix)
        for found in every
        if found.view.prefix not in ("", "layers")
    ]
    if len(set(names)) == len(every):
        return names
    labels = [
        [entry.label for _, entry in found.matching.pairs] for found in every
    ]
    names = [os.path.commonprefix(each) for each in labels]
    if all(names) and len(set(names)) == len(every):
        return names
    return [
        saved_weights.find_first_layer(
            file, {entry.path for _, entry in found.matching.pairs}
        )
        for found in every
    ]
