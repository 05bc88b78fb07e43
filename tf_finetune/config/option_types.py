"""Types of options: parsing, conversion of Python values, description."""

import contextlib
import dataclasses
import math
import numbers
import os
import types
import typing
from collections.abc import Sequence
from typing import Any, Literal

from tf_finetune import errors

# The largest float32.
_LARGEST = 3.4e38
# The largest count, so that products of two fit into 64 bits.
_LARGEST_COUNT = 2**31 - 1


def describe_type(kind: Any) -> str:
    """Describes the type of an option in words, for messages and `--help`.

    Args:
        kind: bool, int, float, str, a `Literal`, a tuple type or a union of
            these, without None.

    Returns:
        Text such as "a whole number" or "one of auto, on, off".
    """
    if len(list_alternatives(kind)) > 1:
        return " or ".join(
            describe_type(each).removeprefix("one of ")
            for each in list_alternatives(kind)
        )
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        return "a comma-separated list"
    return {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
    }[kind]


def describe_field(field: dataclasses.Field) -> str:
    """Describes the type of a field, e.g. "a number or none" if optional."""
    kind, optional = split_optional(field)
    return describe_type(kind) + (" or none" if optional else "")


def parse_text(kind: Any, text: str) -> Any:
    """Parses the text of a flag into a value of its type.

    Args:
        kind: bool, int, float, str, a `Literal`, a tuple type (items between
            commas, blanks around them removed) or a union of these, of which
            the first that accepts the text wins.
        text: The text of the flag.

    Raises:
        ValueError: The text is no such value; the message begins with "must".
    """
    if len(list_alternatives(kind)) > 1:
        # The first type that accepts the text wins.
        for each in list_alternatives(kind):
            with contextlib.suppress(ValueError):
                return parse_text(each, text)
        raise ValueError(f"must be {describe_type(kind)}, got {text!r}.")
    if typing.get_origin(kind) is Literal:
        if text not in typing.get_args(kind):
            raise ValueError(f"must be {describe_type(kind)}, got {text!r}.")
        return text
    if typing.get_origin(kind) is tuple:
        if not text.strip():
            return ()
        item = typing.get_args(kind)[0]
        parts = [part.strip() for part in text.split(",")]
        _require_entries(parts, text)
        return tuple(parse_text(item, part) for part in parts)
    if kind is bool:
        # bool("false") would be True.
        known = {"true": True, "1": True, "false": False, "0": False}
        if text.lower() not in known:
            raise ValueError(f"must be true or false, got {text!r}.")
        return known[text.lower()]
    with contextlib.suppress(ValueError):
        return kind(text)
    raise ValueError(f"must be {describe_type(kind)}, got {text!r}.")


def convert_value(kind: Any, value: Any) -> Any:
    """Converts a Python value to an option's type where nothing is lost.

    A list, a text or an array becomes a tuple, a path a str, a number of any
    library Python's own; a value that has the type is returned as it is.

    Args:
        kind: The type, or a union, of which the first that accepts the value
            wins.
        value: The value.

    Raises:
        ValueError: The value is of another type (True is no int), or has an
            empty entry; the message begins with "must".
    """
    # Scalars and arrays of NumPy, pandas and others become Python's values.
    if hasattr(value, "tolist"):
        value = value.tolist()
    is_number = not isinstance(value, bool)
    if len(list_alternatives(kind)) > 1:
        for each in list_alternatives(kind):
            with contextlib.suppress(ValueError):
                return convert_value(each, value)
    elif typing.get_origin(kind) is tuple:
        if isinstance(value, str):
            return parse_text(kind, value)
        entries = [value] if isinstance(value, os.PathLike) else value
        if isinstance(entries, (list, tuple)):
            _require_entries(entries, value)
            (item, *_) = typing.get_args(kind)
            return tuple(convert_value(item, each) for each in entries)
    elif typing.get_origin(kind) is Literal:
        if value in typing.get_args(kind):
            return value
    elif kind is str and isinstance(value, os.PathLike):
        return os.fsdecode(value)
    elif kind is int and is_number and isinstance(value, numbers.Integral):
        return int(value)
    elif kind is float and is_number and isinstance(value, numbers.Real):
        with contextlib.suppress(OverflowError):
            return float(value)
    elif type(value) is kind:
        return value
    raise ValueError(f"must be {describe_type(kind)}, got {value!r}.")


def _require_entries(entries: Sequence[Any], given: Any) -> None:
    """Raises `ValueError` for an empty text among the entries of a list.

    Args:
        entries: The entries.
        given: The value that they come from, for the message.
    """
    for number, entry in enumerate(entries, start=1):
        if isinstance(entry, str) and not entry.strip():
            raise ValueError(
                f"must have no empty entry, and number {number} of {given!r} "
                "is. Remove it, or a comma too many."
            )


def split_optional(field: dataclasses.Field) -> tuple[Any, bool]:
    """Returns the type of a field without None, and whether None is allowed."""
    kinds = list_alternatives(field.type)
    others = tuple(each for each in kinds if each is not type(None))
    kind = others[0] if len(others) == 1 else typing.Union[others]  # noqa: UP007
    return kind, len(others) < len(kinds)


def list_alternatives(kind: Any) -> tuple[Any, ...]:
    """Returns the members of a union `A | B`, and `(A,)` for a type A alone."""
    # `int | Literal["auto"]` is a typing.Union, `int | None` is not.
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return typing.get_args(kind)
    return (kind,)


def require_range(
    config: Any,
    name: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> None:
    """Raises `UsageError` if an option lies outside its range.

    None (an optional option that is not set) passes, and so does a word such
    as "auto". NaN violates every bound; infinity is never allowed. A whole
    number without an upper bound is a count, at most 2³¹ - 1.

    Args:
        config: A config with the option as an attribute.
        name: The option.
        above: Bound that the value must exceed; None: there is no such bound.
        at_least: Smallest value; None: there is no such bound.
        below: Bound that the value must stay below; None: no such bound.
        at_most: Largest value; None: there is no such bound.
    """
    value = getattr(config, name)
    if value is None or isinstance(value, str):
        return
    bounds = {
        "above": (above, lambda bound: value > bound),
        "at least": (at_least, lambda bound: value >= bound),
        "below": (below, lambda bound: value < bound),
        "at most": (at_most, lambda bound: value <= bound),
    }
    given = {w: b for w, (b, _) in bounds.items() if b is not None}
    # NaN fails every comparison, and so every bound.
    if not all(bounds[word][1](bound) for word, bound in given.items()):
        wanted = " and ".join(f"{word} {b}" for word, b in given.items())
        raise errors.UsageError(f"--{name} must be {wanted}, got {value}.")
    # An option without the bound that infinity violates.
    if isinstance(value, float) and math.isinf(value):
        raise errors.UsageError(f"--{name} must be finite, got {value}.")
    # Computations are in float32, where such numbers are infinite.
    highest = _LARGEST
    if isinstance(value, int):
        highest = at_most or below or _LARGEST_COUNT
    if abs(value) > highest:
        raise errors.UsageError(
            f"--{name} must be at most {highest}, got {value}."
        )


def require_value(config: Any, name: str, hint: str) -> None:
    """Raises `UsageError` if an option is empty.

    Args:
        config: A config with the option as an attribute.
        name: The option.
        hint: End of the message, after "--NAME is needed: ".
    """
    if not getattr(config, name):
        raise errors.UsageError(f"--{name} is needed: {hint}")
