"""Mapping from values in masks to classes, and names after the values."""

import dataclasses
import difflib
import functools
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence

from tf_finetune import errors
from tf_finetune.data.masks import class_lists, mask_files

_BINARY_NAMES = ("background", "foreground")
_WHITE = 255  # The largest byte: a class, or "ignored" as in PASCAL VOC.
# How far a shade may be from its place among equal distances.
_SHADE_TOLERANCE = 2
_MAX_SHOWN = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValueMap:
    """A mapping from values in masks to class indices.

    Attributes:
        names: Class names in the order of the model's outputs.
        indices: Class index by value in a mask (by color, 0xRRGGBB);
            `mask_files.IGNORED_INDEX` for values that are ignored.
        by_color: Whether values are colors, not numbers.
        is_learned: Whether it is the mapping of a finished run.
    """

    names: tuple[str, ...]
    indices: Mapping[int, int]
    by_color: bool = False
    is_learned: bool = False

    @functools.cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of value and class index, sorted by value."""
        return tuple(sorted(self.indices.items()))

    @functools.cached_property
    def key(self) -> str:
        """A short hash of the pairs and of `by_color`, for cache keys."""
        text = json.dumps([self.pairs, self.by_color])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def table(self) -> str:
        """Returns the values with their class names as one line of text."""
        shown = [
            f"{self.format_value(value)} "
            + ("ignored" if k == mask_files.IGNORED_INDEX else self.names[k])
            for value, k in self.pairs[:_MAX_SHOWN]
        ]
        more = len(self.pairs) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more else "")

    @property
    def is_plain(self) -> bool:
        """Whether every value is its own class index."""
        return not self.by_color and all(v == k for v, k in self.pairs)

    def format_value(self, value: int) -> str:
        """Returns a value as text: a number or (r, g, b)."""
        return str(mask_files.decode_color(value) if self.by_color else value)


UNKNOWN_MAP = ValueMap(names=(), indices={})
"""The mapping before any mask was read."""


def map_colors(
    colors: Mapping[str, class_lists.Color], ignore_label: str | None
) -> ValueMap:
    """Builds the mapping from the colors of a color map to classes.

    Args:
        colors: Colors by class name, in the order of the classes.
        ignore_label: Name (or index) of a color whose pixels are ignored.

    Raises:
        UsageError: There is no such color.
    """
    names = tuple(colors)
    codes = [mask_files.encode_color(color) for color in colors.values()]
    ignored = _find_ignored(ignore_label, names)
    if ignored is not None and ignored >= len(names):
        raise _unknown_label_error(ignore_label, names)
    code = None if ignored is None else codes[ignored]
    return _drop_ignored(names, codes, code, is_colored=True)


def map_numbers(
    declared: Sequence[str] | Mapping[int, str],
    ignore_label: str | None,
    values: Collection[int],
) -> ValueMap:
    """Builds the mapping from the numbers in masks to classes.

    Masks of nothing but 0 and 255 have two classes, masks whose values have
    wide gaps (0, 38, 75) as many as there are values. Without declared names
    classes are called class_0, class_1 and so on, after their values, or, if
    there are two, background and foreground.

    Args:
        declared: Names by value; or in the order of the classes, name k being
            that of value k, or, where masks hold larger values and as many as
            there are names, of the k-th of these. May be empty.
        ignore_label: A class name, or a value; its pixels are ignored.
        values: All values that occur in any mask.

    Raises:
        UsageError: `ignore_label` is no name of a class.
        DataError: The number of classes is ambiguous.
    """
    if isinstance(declared, Mapping):
        names, its_values = [*declared.values()], [*declared]
    elif declared:
        names = list(declared)
        its_values = _assign_values(names, ignore_label, values)
    else:
        left = {*values} - {_find_ignored(ignore_label, ())}
        names, its_values = _name_values(sorted(left))
    place = _find_ignored(ignore_label, names)
    ignored = None
    if place is not None:
        is_name = ignore_label in names
        ignored = its_values[place] if is_name else place
    return _drop_ignored(names, its_values, ignored)


def adapt_learned(
    learned: ValueMap, ignore_label: str | None, values: Collection[int]
) -> ValueMap:
    """Returns the mapping with which a finished run reads other masks.

    It is the run's own one, whichever values occur. But the classes background
    and foreground may be 0 and 1 or 0 and 255, whatever the run had.

    Args:
        learned: The run's mapping, returned as it is if it is not replaced.
        ignore_label: A class name, or a value; its pixels are ignored.
        values: All values that occur in the other masks.
    """
    # Two-class masks come as 0 and 1, or as 0 and 255.
    is_strange = not {*values} <= {*learned.indices}
    if is_strange and learned.names == _BINARY_NAMES and not learned.by_color:
        left = {*values} - {_find_ignored(ignore_label, learned.names)}
        if left <= {0, 1} or left <= {0, _WHITE}:
            return map_numbers((), ignore_label, values)
    return learned


def _name_values(left: Sequence[int]) -> tuple[list[str], list[int]]:
    """Names classes after the values that occur, or after all up to these."""
    if {*left} <= {0, _WHITE} and _WHITE in left:
        return list(_BINARY_NAMES), [0, _WHITE]
    _check_white(left)
    if not _has_gaps(left):
        highest = left[-1] if left else 0
        if highest <= 1:
            return list(_BINARY_NAMES), [0, 1]
        every = list(range(highest + 1))
        return [f"class_{value}" for value in every], every
    if len(left) > mask_files.MAX_CLASSES:
        raise errors.DataError(
            f"The masks hold {len(left)} different values up to {left[-1]}; at "
            f"most {mask_files.MAX_CLASSES} classes are possible. Colors are "
            "read with --color_map; --ignore_label leaves out one value."
        )
    if len(left) == 2 and left[0] == 0:
        return list(_BINARY_NAMES), list(left)
    return [f"class_{value}" for value in left], list(left)


def _assign_values(
    names: Sequence[str], ignore_label: str | None, values: Collection[int]
) -> list[int]:
    """Returns the value of each named class.

    Raises:
        DataError: There are more values than names, and larger ones.
    """
    count = len(names)
    is_value = ignore_label is not None and ignore_label not in names
    ignored = _find_ignored(ignore_label, names) if is_value else None
    left = sorted({*values} - {ignored})
    if not left or left[-1] < count:
        return list(range(count))
    if count == 2 and {*left} <= {0, _WHITE}:
        return [0, _WHITE]
    # As many names as values: in their order, "ignored" perhaps named.
    for each in (left, sorted(values)):
        if len(each) == count:
            return each
    return list(range(count))


def _find_ignored(ignore_label: str | None, names: Sequence[str]) -> int | None:
    """Returns the place of the ignored name, or the ignored value."""
    if ignore_label is None:
        return None
    if ignore_label in names:
        return list(names).index(ignore_label)
    if ignore_label.isdecimal():
        return int(ignore_label)
    raise _unknown_label_error(ignore_label, names)


def _unknown_label_error(
    name: str | None, names: Sequence[str]
) -> errors.UsageError:
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    known = f"; classes: {', '.join(names)}" if names else ""
    return errors.UsageError(
        f"--ignore_label={name} is neither a class nor a value in the masks"
        f"{known}.{hint}"
    )


def _drop_ignored(
    names: Sequence[str],
    values: Sequence[int],
    ignored: int | None,
    *,
    is_colored: bool = False,
) -> ValueMap:
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
            indices[value] = mask_files.IGNORED_INDEX
        else:
            indices[value] = len(kept)
            kept.append(name)
    if ignored is not None:
        indices[ignored] = mask_files.IGNORED_INDEX
    if len(kept) > mask_files.MAX_CLASSES:
        raise errors.DataError(
            f"There are {len(kept)} classes; at most {mask_files.MAX_CLASSES} "
            "are possible."
        )
    return ValueMap(names=tuple(kept), indices=indices, by_color=is_colored)


def _has_gaps(left: Sequence[int]) -> bool:
    """Tells if values look like shades rather than class numbers.

    Numbers count from 0 on; that a few classes do not occur is usual, that
    most do not is not.
    """
    if not left:
        return False
    # Numbers from 0 to the largest that do not occur.
    absent = left[-1] + 1 - len(left)
    return absent > len(left) or left[-1] >= mask_files.MAX_CLASSES


def _check_white(left: Sequence[int]) -> None:
    """Raises `DataError` where 255 may be a class or mean "ignored".

    It is a class where all values lie at equal distances up to it.
    """
    others = [value for value in left if value != _WHITE]
    if not others or not left or left[-1] != _WHITE:
        return
    # Shades at equal distances: 0, step, 2 · step, …, 255.
    step = _WHITE / (len(left) - 1)
    even = left[0] == 0 and all(
        abs(value - k * step) <= _SHADE_TOLERANCE
        for k, value in enumerate(left)
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
    shown = ", ".join(map(str, others[:_MAX_SHOWN]))
    if len(others) > _MAX_SHOWN:
        shown = f"values up to {others[-1]}"
    raise errors.DataError(
        f"The masks hold the value 255 beside {shown}. If 255 marks what is to "
        f"be ignored, {ignoring}; if not, {as_classes}."
    )
