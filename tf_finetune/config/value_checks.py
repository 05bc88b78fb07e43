"""Checks of option values, in the words of the flags."""

import math
from typing import Any

from tf_finetune import errors


def require_range(
    config: Any,
    name: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> None:
    """Raises `UsageError` if the option `name` lies outside its range.

    `None`, an optional option that is not set, passes; so does a word such as
    "auto".
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


def require_value(config: Any, name: str, hint: str) -> None:
    """Raises `UsageError` if the option `name` is empty."""
    if not getattr(config, name):
        raise errors.UsageError(f"--{name} is needed: {hint}")
