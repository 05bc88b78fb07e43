"""One file's weights put into a model: matched, reported, then assigned."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tf_finetune import errors
from tf_finetune.weights import matching, saved, views

if TYPE_CHECKING:
    import keras

_SHOWN = 8
# Below this share, names and shapes agree by chance ("conv1", "conv1_bn").
_CHANCE = 0.25
# Statistics of the input that say nothing about which network this is.
_INPUT_LAYERS = ("normalization",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mismatch:
    """A layer that has the same name on both sides and other shapes."""

    name: str
    model: matching.Shapes
    file: matching.Shapes

    def __str__(self) -> str:
        for model, file in zip(self.model, self.file, strict=False):
            if model != file:
                return f"{self.name} (model {model}, file {file})"
        return (
            f"{self.name} (model {len(self.model)} arrays, file "
            f"{len(self.file)})"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class MergeReport:
    """What a merge did, by names of layers.

    Attributes:
        matched: Layers of the model that took their weights from the file.
        by_order: Those of them that were found by order, not by name.
        missing: Layers of the model that the file does not hold.
        unused: Layers of the file that the model does not have.
        mismatched: Layers whose shapes differ; they keep the model's values.
        prefix: The part of the file that the model is; "" for all of it.
        deeper: Those of `unused` that see more than one position (kernels
            above 1x1). A classifier's top has none: the file is probably that
            of a deeper network, and its weights do not belong here.
    """

    matched: tuple[str, ...]
    by_order: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]
    prefix: str
    deeper: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every layer of the model took its weights from the file."""
        return not (self.missing or self.mismatched)

    @property
    def clean(self) -> bool:
        """Whether nothing about it should worry anyone."""
        return self.complete and not self.deeper

    def summary(self) -> str:
        """Returns counts and names, a line for each kind of outcome."""
        total = len(self.matched) + len(self.missing) + len(self.mismatched)
        first = f"{len(self.matched)} of {total} layers took their weights"
        if self.by_order:
            first += f", {len(self.by_order)} of them by order"
        if self.prefix not in ("", "layers"):
            first += f", from {self.prefix!r} in the file"
        lines = [first]
        for words, names in (
            ("not in the file", self.missing),
            ("other shapes", [str(each) for each in self.mismatched]),
            ("unused in the file", self.unused),
        ):
            if names:
                lines.append(f"{words} ({len(names)}): {_listed(names)}")
        if self.deeper:
            lines.append(
                f"{self.deeper[0]} is not part of a top: is the file that of a "
                "deeper network?"
            )
        return "; ".join(lines)


def merge(model: "keras.Model", file: saved.SavedWeights) -> MergeReport:
    """Puts a file's weights into the layers of `model` they belong to.

    Nothing is assigned before everything is matched and checked. A layer whose
    shapes fit only in part keeps all of its own values.

    Raises:
        RunError: No layer that learns matches, or so few that it is chance;
            more layers have other shapes than match; or a weight is NaN or
            infinite.
    """
    view, found = _best(model, file)
    report = _report(view, found, file)
    _check(view, found, file)
    values = [
        (variable, _value(variable, array, entry.label, file))
        for unit, entry in found.pairs
        for variable, array in zip(unit.variables, entry.arrays, strict=True)
    ]
    for variable, value in values:
        variable.assign(value)
    _finalize(model)
    return report


def _best(
    model: "keras.Model", file: saved.SavedWeights
) -> tuple[views.View, matching.Matching]:
    best = None
    for view in views.of(file, model):
        found = matching.match(view.units, view.entries, ordered=view.ordered)
        # Of equal views the narrowest: it says best where the model lies, and
        # leaves the layers around it out of every comparison by order.
        narrow = len(view.prefix)
        score = (_count_arrays(found), -len(found.unfit), narrow)
        if best is None or score > best[0]:
            best = (score, view, found)
    if best is None:
        raise errors.RunError(f"{file.path} holds no layers with weights.")
    return best[1], best[2]


def _count_arrays(found: matching.Matching) -> int:
    return sum(len(entry.arrays) for _, entry in found.pairs)


def _report(
    view: views.View, found: matching.Matching, file: saved.SavedWeights
) -> MergeReport:
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
    return MergeReport(
        matched=tuple(u.name for u in view.units if id(u) in matched),
        by_order=tuple(unit.name for unit, _ in found.by_order),
        missing=tuple(
            unit.name for unit in view.units if id(unit) not in matched | unfit
        ),
        unused=tuple([entry.label for entry in unused] + outside),
        mismatched=tuple(
            Mismatch(name=unit.name, model=unit.shapes, file=entry.shapes)
            for unit, entry in found.unfit
        ),
        prefix=view.prefix,
        deeper=tuple(entry.label for entry in unused if _sees_more(entry)),
    )


def _sees_more(entry: matching.Entry) -> bool:
    return any(len(shape) == 4 and max(shape[:2]) > 1 for shape in entry.shapes)


def _check(
    view: views.View, found: matching.Matching, file: saved.SavedWeights
) -> None:
    learnt = [
        unit for unit, _ in found.pairs if unit.kind[-1] not in _INPUT_LAYERS
    ]
    enough = len(learnt) > max(len(found.unfit), _CHANCE * len(view.units))
    if enough:
        return
    named = [unit for unit in view.units if not unit.numbered]
    if found.unfit and 2 * len(found.unfit) >= len(named):
        shapes = [
            Mismatch(name=unit.name, model=unit.shapes, file=entry.shapes)
            for unit, entry in found.unfit
        ]
        raise errors.RunError(
            f"The weights of {file.path} do not fit the model: "
            f"{len(found.unfit)} layers have other shapes, e.g. "
            f"{_listed(shapes, shown=2)}. They belong to another width or size "
            "of this network; check --backbone (e.g. mobilenet@0.25) and "
            "--weights."
        )
    raise errors.RunError(
        f"{len(learnt) or 'No'} of {len(view.units)} layers of the model "
        f"match {file.path}. The file holds "
        f"{_examples(view.entries)}; the model has {_examples(view.units)}. "
        "These are probably the weights of another backbone; check --backbone "
        "and --weights."
    )


def _examples(layers: Sequence[matching.Unit | matching.Entry]) -> str:
    words = [
        f"{getattr(each, 'label', each.name)} {list(each.shapes[0])}"
        for each in layers
    ]
    return _listed(words, shown=4)


def _value(
    variable: "keras.Variable",
    array: np.ndarray,
    layer: str,
    file: saved.SavedWeights,
) -> np.ndarray:
    """Returns `array` in the variable's type; its shape is right already."""
    value = array.astype(variable.dtype)
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise errors.RunError(
            f"The weights of {file.path} hold NaN or infinite values, first "
            f"in layer {layer!r}: the run that wrote them diverged, or the "
            "file is damaged. Nothing was loaded."
        )
    return value


def _finalize(model: "keras.Model") -> None:
    """Lets layers renew what they compute from their weights."""
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def _listed(names: Sequence[object], *, shown: int = _SHOWN) -> str:
    text = ", ".join(str(name) for name in names[:shown])
    more = len(names) - shown
    return f"{text} and {more} more" if more > 0 else text
