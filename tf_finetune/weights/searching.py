"""Search for the network of a file that fits a model, and for a second one."""

import dataclasses
import os.path
import posixpath
from typing import Any

import numpy as np

from tf_finetune import errors
from tf_finetune.weights import matching, places, saved, views

# A second match counts as a second network from this share of the first on.
_RIVAL = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """A view of a file, with the layers that match in it."""

    view: views.View
    matching: matching.Matching


def find(model: Any, file: saved.SavedWeights) -> Found:
    """Returns the view of a file that matches most of a model.

    Raises:
        RunError: The file holds no layers with weights.
    """
    best = None
    for view in views.of(file, model):
        found = matching.match(view.units, view.entries, ordered=view.ordered)
        # Of equal views the narrowest: it says best where the model lies, and
        # leaves the layers around it out of every comparison by order.
        narrow = len(view.prefix)
        arrays = sum(len(entry.arrays) for _, entry in found.pairs)
        score = (found.kernel_size, arrays, -len(found.unfit), narrow)
        if best is None or score > best[0]:
            best = (score, Found(view=view, matching=found))
    if best is None:
        raise errors.RunError(f"{file.path} holds no layers with weights.")
    return best[1]


def check_rivals(
    model: Any, file: saved.SavedWeights, first: Found
) -> tuple[str, ...]:
    """Checks that no other network of the file fits the model as well.

    Returns:
        A sentence about bitwise equal copies, if there are any.

    Raises:
        RunError: There is one with other weights; the message names both.
    """
    # Networks that fit, the best match first.
    every = [first]
    rest = file
    while first.matching.kernel_size:
        # Search again in the part of the file that did not match yet.
        rest = _without(rest, every[-1])
        if not any(layer.arrays for layer in rest.layers):
            break
        another = find(model, rest)
        size = another.matching.kernel_size
        if size < _RIVAL * first.matching.kernel_size:
            break
        every.append(another)
    if len(every) == 1:
        return ()
    names = sorted(_spell(file, every))
    if all(_equal(first, each) for each in every[1:]):
        return (
            f"The file holds the network {len(every)} times, with equal "
            f"weights ({', '.join(names)}).",
        )
    ways = [f"--weights={file.path}::{name}" for name in names]
    raise errors.RunError(
        f"{file.path} holds {len(every)} networks that fit the model, with "
        f"different weights: {_joined(names, 'and')}. Say which one is meant: "
        f"{_joined(ways, 'or')}."
    )


def _joined(words: list[str], word: str) -> str:
    return f"{', '.join(words[:-1])} {word} {words[-1]}"


def _without(file: saved.SavedWeights, found: Found) -> saved.SavedWeights:
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


def _equal(first: Found, other: Found) -> bool:
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


def _spell(file: saved.SavedWeights, every: list[Found]) -> list[str]:
    """Returns a name of each network that `--weights=FILE::NAME` accepts."""
    names = [
        places.spell_prefix(file, found.view.prefix)
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
        places.first_in(file, {entry.path for _, entry in found.matching.pairs})
        for found in every
    ]
