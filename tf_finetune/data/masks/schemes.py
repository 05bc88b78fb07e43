"""Which value in masks is which class."""

import dataclasses
import difflib
import functools
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence

from tf_finetune import errors
from tf_finetune.data.masks import legends, reading

_BINARY = ("background", "foreground")
_WHITE = 255


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheme:
    """How the values in masks become classes.

    Attributes:
        names: Of the classes, in the order of the model's outputs.
        indices: Class index by value in a mask (or by its colour's code);
            `reading.IGNORED` for what is ignored.
        by_color: Whether masks are read by colour.
    """

    names: tuple[str, ...]
    indices: Mapping[int, int]
    by_color: bool = False

    @functools.cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Values and class indices, by value."""
        return tuple(sorted(self.indices.items()))

    @functools.cached_property
    def key(self) -> str:
        """A short hash of how values are turned into indices."""
        text = json.dumps([self.pairs, self.by_color])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def shown(self, value: int) -> str:
        """Returns a value as people write it."""
        return str(reading.color_of(value) if self.by_color else value)


UNKNOWN = Scheme(names=(), indices={})
"""That of masks that nobody has looked at."""


def by_color(
    colors: Mapping[str, legends.Color], ignore_label: str | None
) -> Scheme:
    """Returns the scheme of a colour map.

    Args:
        colors: In the order of the classes.
        ignore_label: The name (or place) of a colour that is no class.

    Raises:
        UsageError: There is no such colour.
    """
    names = tuple(colors)
    codes = [reading.code_of(color) for color in colors.values()]
    ignored = _place(ignore_label, names)
    if ignored is not None and ignored >= len(names):
        raise _unknown(ignore_label, names)
    return _without(names, codes, ignored, is_colored=True)


def by_number(
    declared: Sequence[str],
    ignore_label: str | None,
    values: Collection[int],
) -> Scheme:
    """Returns the scheme of masks that hold numbers.

    Args:
        declared: Name k is that of value k; may be empty.
        ignore_label: A class name, or a value; the ignored one is no class.
        values: All that occur in any mask.

    Returns:
        Masks of nothing but 0 and 255 are two classes. Without declared names
        classes are called class_0, class_1 and so on, or, if there are two,
        background and foreground.

    Raises:
        UsageError: `ignore_label` is no name of a class.
        DataError: It cannot be told how many classes there are.
    """
    ignored = _place(ignore_label, declared)
    left = sorted({*values} - {ignored})
    is_binary = _WHITE in left and {*left} <= {0, _WHITE}
    if is_binary and len(declared) in (0, 2):
        names = tuple(declared) or _BINARY
        return _without(names, [0, _WHITE], ignored)
    names = tuple(declared) or _numbered(left)
    return _without(names, list(range(len(names))), ignored)


def as_learnt(
    learnt: Scheme, ignore_label: str | None, values: Collection[int]
) -> Scheme:
    """Returns how a run that did not hear names reads other masks.

    As it read its own, whichever values they show. But background and
    foreground are the same whether they are 0 and 1 or 0 and 255.

    Args:
        learnt: The run's scheme.
        ignore_label: As for `by_number`.
        values: All that occur in the other masks.
    """
    is_strange = not {*values} <= {*learnt.indices}
    if is_strange and learnt.names == _BINARY and not learnt.by_color:
        left = {*values} - {_place(ignore_label, learnt.names)}
        if left <= {0, 1} or left <= {0, _WHITE}:
            return by_number((), ignore_label, values)
    return learnt


def _numbered(left: Sequence[int]) -> tuple[str, ...]:
    highest = left[-1] if left else 0
    others = [value for value in left if value != _WHITE]
    if highest == _WHITE and others and others[-1] < _WHITE - 1:
        raise errors.DataError(
            f"The masks hold the value 255 and otherwise values up to "
            f"{others[-1]}. If 255 marks what is to be ignored, say "
            "--ignore_label=255; if not, classes.json beside the data names "
            "the classes."
        )
    if highest >= reading.MOST_CLASSES:
        raise errors.DataError(
            f"The masks hold values up to {highest}; at most "
            f"{reading.MOST_CLASSES} classes are possible. Colours are read "
            "with --color_map, an ignored value with --ignore_label."
        )
    if highest <= 1:
        return _BINARY
    return tuple(f"class_{value}" for value in range(highest + 1))


def _place(ignore_label: str | None, names: Sequence[str]) -> int | None:
    """Returns the value that is ignored: that of a name, or itself."""
    if ignore_label is None:
        return None
    if ignore_label in names:
        return list(names).index(ignore_label)
    if ignore_label.isdecimal():
        return int(ignore_label)
    raise _unknown(ignore_label, names)


def _unknown(name: str | None, names: Sequence[str]) -> errors.UsageError:
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    known = f"; classes: {', '.join(names)}" if names else ""
    return errors.UsageError(
        f"--ignore_label={name} is neither a class nor a value in the masks"
        f"{known}.{hint}"
    )


def _without(
    names: Sequence[str],
    values: Sequence[int],
    ignored: int | None,
    *,
    is_colored: bool = False,
) -> Scheme:
    """Numbers the classes that are left without the ignored one.

    Args:
        names: Of all.
        values: In the masks, one a name.
        ignored: Place among the names, or another value of masks.
        is_colored: Whether the values are codes of colours.
    """
    indices: dict[int, int] = {}
    kept: list[str] = []
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        if place == ignored:
            indices[value] = reading.IGNORED
        else:
            indices[value] = len(kept)
            kept.append(name)
    if ignored is not None and ignored >= len(names):
        indices[ignored] = reading.IGNORED
    if len(kept) > reading.MOST_CLASSES:
        raise errors.DataError(
            f"There are {len(kept)} classes; at most {reading.MOST_CLASSES} "
            "are possible."
        )
    return Scheme(names=tuple(kept), indices=indices, by_color=is_colored)
