"""Mapping from values in masks to classes."""

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
# How far a shade may be from its place among equal distances.
_UNEVEN = 2
_SHOWN = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheme:
    """A mapping from values in masks to class indices.

    Attributes:
        names: Of the classes, in the order of the model's outputs.
        indices: Class index by value in a mask (or by its color's code);
            `reading.IGNORED` for what is ignored.
        by_color: Whether masks are read by color.
        is_learnt: Whether a finished run read its own masks so.
    """

    names: tuple[str, ...]
    indices: Mapping[int, int]
    by_color: bool = False
    is_learnt: bool = False

    @functools.cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Values and class indices, by value."""
        return tuple(sorted(self.indices.items()))

    @functools.cached_property
    def key(self) -> str:
        """A short hash of how values are turned into indices."""
        text = json.dumps([self.pairs, self.by_color])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def table(self) -> str:
        """Returns the values and their classes in one line."""
        shown = [
            f"{self.shown(value)} "
            + ("ignored" if k == reading.IGNORED else self.names[k])
            for value, k in self.pairs[:_SHOWN]
        ]
        more = len(self.pairs) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more else "")

    @property
    def is_plain(self) -> bool:
        """Whether value k is class k."""
        return not self.by_color and all(v == k for v, k in self.pairs)

    def shown(self, value: int) -> str:
        """Returns a value as text: a number or (r, g, b)."""
        return str(reading.color_of(value) if self.by_color else value)


UNKNOWN = Scheme(names=(), indices={})
"""The mapping before any mask was read."""


def by_color(
    colors: Mapping[str, legends.Color], ignore_label: str | None
) -> Scheme:
    """Returns the scheme of a color map.

    Args:
        colors: In the order of the classes.
        ignore_label: The name (or place) of a color that is no class.

    Raises:
        UsageError: There is no such color.
    """
    names = tuple(colors)
    codes = [reading.code_of(color) for color in colors.values()]
    ignored = _place(ignore_label, names)
    if ignored is not None and ignored >= len(names):
        raise _unknown(ignore_label, names)
    code = None if ignored is None else codes[ignored]
    return _without(names, codes, code, is_colored=True)


def by_number(
    declared: Sequence[str] | Mapping[int, str],
    ignore_label: str | None,
    values: Collection[int],
) -> Scheme:
    """Returns the scheme of masks that hold numbers.

    Args:
        declared: Names by value; or in the order of the classes, name k being
            that of value k, or, where masks hold larger values and as many as
            there are names, of the k-th of these. May be empty.
        ignore_label: A class name, or a value; the ignored one is no class.
        values: All that occur in any mask.

    Returns:
        Masks of nothing but 0 and 255 are two classes, masks whose values
        have wide gaps (0, 38, 75) as many as there are values. Without
        declared names classes are called class_0, class_1 and so on, after
        their values, or, if there are two, background and foreground.

    Raises:
        UsageError: `ignore_label` is no name of a class.
        DataError: It cannot be told how many classes there are.
    """
    if isinstance(declared, Mapping):
        names, its_values = [*declared.values()], [*declared]
    elif declared:
        names = list(declared)
        its_values = _values_of(names, ignore_label, values)
    else:
        left = {*values} - {_place(ignore_label, ())}
        names, its_values = _unnamed(sorted(left))
    place = _place(ignore_label, names)
    ignored = None
    if place is not None:
        is_name = ignore_label in names
        ignored = its_values[place] if is_name else place
    return _without(names, its_values, ignored)


def colored(learnt: Scheme) -> Scheme:
    """Returns the scheme of a run whose values are codes of colors."""
    return dataclasses.replace(learnt, by_color=True)


def as_learnt(
    learnt: Scheme, ignore_label: str | None, values: Collection[int]
) -> Scheme:
    """Returns the mapping by which a finished run reads other masks.

    As it read its own, whichever values they show. But background and
    foreground are the same whether they are 0 and 1 or 0 and 255.

    Args:
        learned: The run's scheme.
        ignore_label: As for `by_number`.
        values: All that occur in the other masks.
    """
    is_strange = not {*values} <= {*learnt.indices}
    if is_strange and learnt.names == _BINARY and not learnt.by_color:
        left = {*values} - {_place(ignore_label, learnt.names)}
        if left <= {0, 1} or left <= {0, _WHITE}:
            return by_number((), ignore_label, values)
    return learnt


def _values_of(
    names: Sequence[str], ignore_label: str | None, values: Collection[int]
) -> list[int]:
    """Returns the value of each named class.

    Raises:
        DataError: There are more values than names, and larger ones.
    """
    count = len(names)
    is_value = ignore_label is not None and ignore_label not in names
    ignored = _place(ignore_label, names) if is_value else None
    left = sorted({*values} - {ignored})
    if not left or left[-1] < count:
        return list(range(count))
    if count == 2 and {*left} <= {0, _WHITE}:
        return [0, _WHITE]
    for each in (left, sorted(values)):
        if len(each) == count:
            return each
    return list(range(count))


def _unnamed(left: Sequence[int]) -> tuple[list[str], list[int]]:
    """Names classes after the values that occur, or after all up to these."""
    if {*left} <= {0, _WHITE} and _WHITE in left:
        return list(_BINARY), [0, _WHITE]
    _check_white(left)
    if not _has_gaps(left):
        highest = left[-1] if left else 0
        if highest <= 1:
            return list(_BINARY), [0, 1]
        every = list(range(highest + 1))
        return [f"class_{value}" for value in every], every
    if len(left) > reading.MOST_CLASSES:
        raise errors.DataError(
            f"The masks hold {len(left)} different values up to {left[-1]}; at "
            f"most {reading.MOST_CLASSES} classes are possible. Colors are "
            "read with --color_map; --ignore_label leaves out one value."
        )
    if len(left) == 2 and left[0] == 0:
        return list(_BINARY), list(left)
    return [f"class_{value}" for value in left], list(left)


def _has_gaps(left: Sequence[int]) -> bool:
    """Tells if values look like shades rather than class numbers.

    Numbers count from 0 on; that a few classes do not occur is usual, that
    most do not is not.
    """
    if not left:
        return False
    absent = left[-1] + 1 - len(left)
    return absent > len(left) or left[-1] >= reading.MOST_CLASSES


def _check_white(left: Sequence[int]) -> None:
    """Raises `DataError` where 255 may be a class or mean "ignored".

    It is a class where all values lie at equal distances up to it.
    """
    others = [value for value in left if value != _WHITE]
    if not others or not left or left[-1] != _WHITE:
        return
    step = _WHITE / (len(left) - 1)
    even = left[0] == 0 and all(
        abs(value - k * step) <= _UNEVEN for k, value in enumerate(left)
    )
    if even or others[-1] == _WHITE - 1:
        return
    count = len(left)
    as_classes = (
        f"a classes.json beside the data that names {count} classes, in the "
        "order of the values, makes classes of all of them"
    )
    ignoring = (
        "--ignore_label=255 leaves it out"
        if len(others) > 1
        else f"--ignore_label=255 would leave nothing but {others[0]} to learn"
    )
    shown = ", ".join(map(str, others[:_SHOWN]))
    if len(others) > _SHOWN:
        shown = f"values up to {others[-1]}"
    raise errors.DataError(
        f"The masks hold the value 255 beside {shown}. If 255 marks what is to "
        f"be ignored, {ignoring}; if not, {as_classes}."
    )


def _place(ignore_label: str | None, names: Sequence[str]) -> int | None:
    """Returns the place of the ignored name, or the ignored value."""
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
        ignored: One of these, or another value of masks.
        is_colored: Whether the values are codes of colors.
    """
    indices: dict[int, int] = {}
    kept: list[str] = []
    for name, value in zip(names, values, strict=True):
        if value == ignored:
            indices[value] = reading.IGNORED
        else:
            indices[value] = len(kept)
            kept.append(name)
    if ignored is not None:
        indices[ignored] = reading.IGNORED
    if len(kept) > reading.MOST_CLASSES:
        raise errors.DataError(
            f"There are {len(kept)} classes; at most {reading.MOST_CLASSES} "
            "are possible."
        )
    return Scheme(names=tuple(kept), indices=indices, by_color=is_colored)
