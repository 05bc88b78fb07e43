"""Matching of the layers of a file to those of a model.

Names that people chose are matched as names. Names that Keras numbered
(conv2d_17) say nothing across processes: such layers are matched by their
order, and only where the shapes of the whole sequence agree.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

Shapes = tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unit:
    """Layer of the model with weights.

    Attributes:
        name: The layer's name.
        kind: Its class in snake case, with the classes of the nested models
            that contain it before it: ("sequential", "conv2d").
        order: Its index among the layers of its kind, in each model.
        variables: Keras variables.
        layer: The layer itself; None for a nested model as a whole.
    """

    name: str
    kind: tuple[str, ...]
    order: tuple[int, ...]
    variables: tuple[Any, ...]
    layer: Any = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def shapes(self) -> Shapes:
        """Shapes of its variables, in their order."""
        return tuple(tuple(each.shape) for each in self.variables)

    @property
    def kernel_size(self) -> int:
        """Number of parameters in variables of several axes; 0 for a norm."""
        return sum(math.prod(each) for each in self.shapes if len(each) > 1)

    @property
    def is_numbered(self) -> bool:
        """Whether Keras chose the name, such as conv2d_17."""
        return split_number(self.name)[0] == self.kind[-1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """Layer of the file with weights.

    Attributes:
        label: Its name for messages.
        name: Its name; None where Keras chose it.
        kind: Like `Unit.kind`; None where the file does not say.
        order: Its index among the entries of its kind.
        arrays: In the order of the layer's variables.
        path: Path in the file, see `saved_weights.SavedLayer`.
    """

    label: str
    name: str | None
    kind: tuple[str, ...] | None
    order: tuple[int, ...]
    arrays: tuple[np.ndarray, ...]
    path: str

    @property
    def shapes(self) -> Shapes:
        """Shapes of its arrays, in their order."""
        return tuple(each.shape for each in self.arrays)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerMatches:
    """Pairs of a layer of the model and one of the file.

    "Equal in shapes" is said of kernels: a bias may be on one side alone.

    Attributes:
        by_name: Layers equal in name and shapes.
        by_order: Layers equal in shapes and order, without a common name.
        unfit: Layers equal in name with other shapes.
    """

    by_name: tuple[tuple[Unit, Entry], ...]
    by_order: tuple[tuple[Unit, Entry], ...]
    unfit: tuple[tuple[Unit, Entry], ...]

    @property
    def pairs(self) -> tuple[tuple[Unit, Entry], ...]:
        """Pairs of layers with equal shapes: `by_name`, then `by_order`."""
        return self.by_name + self.by_order

    @property
    def kernel_size(self) -> int:
        """The number of parameters in the kernels of `pairs`."""
        return sum(unit.kernel_size for unit, _ in self.pairs)


def is_compatible(unit: Shapes, entry: Shapes) -> bool:
    """Returns whether two layers have the same kernels, or the same arrays.

    A bias that one side alone has can be carried into the other exactly, or
    its absence can: b moves into the mean of the norm behind, or is 0.

    Args:
        unit: Shapes of the model's variables.
        entry: Shapes of the file's arrays.
    """
    if unit == entry:
        return True
    more, fewer = sorted((unit, entry), key=len, reverse=True)
    if not fewer or more[:-1] != fewer or len(more[-1]) != 1:
        return False
    kernel = fewer[-1]
    # A depthwise kernel is [height, width, channels, multiplier].
    widths = (kernel[-1], math.prod(kernel[-2:]))
    return len(kernel) > 1 and more[-1][0] in widths


def split_number(name: str) -> tuple[str, int]:
    """Splits "conv2d_17" into ("conv2d", 17); without a number it is 0."""
    # Lazy, so that the number is all of the digits at the end.
    base, number = re.fullmatch(r"(.*?)(?:_(\d+))?", name).groups()
    return base, int(number or 0)


def match_layers(
    units: Sequence[Unit], entries: Sequence[Entry], *, ordered: bool
) -> LayerMatches:
    """Pairs the layers of a model with those of a file.

    Args:
        units: In topological order.
        entries: In file order.
        ordered: Whether the file keeps its layers in topological order; the
            same network under other names is then recognized by its shapes.
    """
    by_name, unfit = _match_names(units, entries)
    # Only layers that no name has claimed are matched by their order.
    claimed = {id(each) for pair in by_name + unfit for each in pair}
    by_order = _match_order(
        [each for each in units if id(each) not in claimed],
        [each for each in entries if id(each) not in claimed],
    )
    if ordered and len(by_name) + len(by_order) < len(units):
        # Not all were found: the same network may have renamed layers. Only a
        # complete match counts, since nothing but shapes supports it.
        renamed = _match_sequences(units, entries, whole=True)
        if renamed:
            return LayerMatches(by_name=(), by_order=tuple(renamed), unfit=())
    return LayerMatches(
        by_name=tuple(by_name), by_order=tuple(by_order), unfit=tuple(unfit)
    )


def list_layers(model: Any) -> list[Unit]:
    """Lists the layers with weights of a model, those in nested models too.

    Keras 3 files call the layers of a model by class and count, in the order
    of `model.layers`; that is reproduced here.
    Source: keras/src/saving/saving_lib.py, `_save_container_state`.
    """
    return _list_below(model, (), ())


def list_top_layers(model: Any) -> list[Unit]:
    """Lists the layers with weights of a model, nested models as one layer.

    Classic files keep the variables of a nested model that train before those
    that do not.
    """
    return [
        Unit(
            name=layer.name,
            kind=(to_snake_case(type(layer).__name__),),
            order=(place,),
            # The order in which a classic file keeps them.
            variables=tuple(
                layer.trainable_weights + layer.non_trainable_weights
            ),
            layer=None if getattr(layer, "layers", None) else layer,
        )
        for place, layer in enumerate(model.layers)
        if layer.weights
    ]


def list_flat_layers(model: Any) -> list[Unit]:
    """Lists the layers of `list_layers`, without the nested models around them.

    `kind` is the class of the layer alone, `order` its index among all layers.
    """
    return [
        dataclasses.replace(unit, kind=unit.kind[-1:], order=(place,))
        for place, unit in enumerate(list_layers(model))
    ]


def to_snake_case(name: str) -> str:
    """Converts a class name as Keras does: DepthwiseConv2D, depthwise_conv2d.

    Source: keras/src/utils/naming.py, `to_snake_case`.
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _match_names(
    units: Sequence[Unit], entries: Sequence[Entry]
) -> tuple[list[tuple[Unit, Entry]], list[tuple[Unit, Entry]]]:
    named: dict[str, Entry] = {}
    for entry in entries:
        if entry.name is not None:
            # Of equal names the first one in the file counts.
            named.setdefault(entry.name, entry)
    good, unfit = [], []
    for unit in units:
        # Names that Keras numbered differ from process to process.
        if unit.is_numbered or unit.name not in named:
            continue
        entry = named[unit.name]
        (good if is_compatible(unit.shapes, entry.shapes) else unfit).append(
            (unit, entry)
        )
    return good, unfit


def _match_order(
    units: Sequence[Unit], entries: Sequence[Entry]
) -> list[tuple[Unit, Entry]]:
    pairs = []
    for kind in dict.fromkeys(unit.kind for unit in units):
        pairs += _match_sequences(
            sorted(
                (each for each in units if each.kind == kind),
                key=lambda each: each.order,
            ),
            sorted(
                (each for each in entries if each.kind == kind),
                key=lambda each: each.order,
            ),
        )
    return pairs


def _match_sequences(
    units: Sequence[Unit], entries: Sequence[Entry], *, whole: bool = False
) -> list[tuple[Unit, Entry]]:
    """Pairs layers by shapes: the model's in the file's, or the reverse."""
    wanted = [unit.shapes for unit in units]
    given = [entry.shapes for entry in entries]
    # The model's layers somewhere inside the file's.
    for start in range(len(given) - len(wanted) + 1):
        if _are_compatible(wanted, given[start : start + len(wanted)]):
            return list(zip(units, entries[start:], strict=False))
    # The file's layers as the beginning of the model's.
    if given and _are_compatible(wanted[: len(given)], given) and not whole:
        return list(zip(units, entries, strict=False))
    return []


def _are_compatible(wanted: Sequence[Shapes], given: Sequence[Shapes]) -> bool:
    return len(wanted) == len(given) and all(
        is_compatible(unit, entry)
        for unit, entry in zip(wanted, given, strict=True)
    )


def _list_below(
    model: Any, kind: tuple[str, ...], order: tuple[int, ...]
) -> list[Unit]:
    found: list[Unit] = []
    counts: dict[str, int] = {}
    for layer in model.layers:
        base = to_snake_case(type(layer).__name__)
        place = counts.get(base, -1) + 1
        counts[base] = place
        if getattr(layer, "layers", None):
            found += _list_below(layer, (*kind, base), (*order, place))
        elif layer.weights:
            found.append(
                Unit(
                    name=layer.name,
                    kind=(*kind, base),
                    order=(*order, place),
                    variables=tuple(layer.weights),
                    layer=layer,
                )
            )
    return found
