"""Search space of tune: options and the values that trials may give them.

An entry is OPTION:LOW..HIGH, OPTION:log:LOW..HIGH or OPTION:A|B|C.
"""

import dataclasses
import difflib
import math
import re
from collections.abc import Sequence
from typing import Any

from tf_finetune import errors
from tf_finetune.config import (
    data_options,
    option_types,
    options,
    train_config,
)

DEFAULT_ENTRIES = (
    "learning_rate:log:1e-5..1e-2",
    "epochs:5..30",
    "trainable:top|all",
    "layer_decay:1|0.9|0.8",
    "augmentation:none|light|medium|strong",
    "batch_size:16|32|64|128|256",
)
"""Entries of the default search space, of the kind that AutoGluon has: few
options that matter on most data, each within the bounds of common practice."""

_FORMS = "OPTION:LOW..HIGH, OPTION:log:LOW..HIGH or OPTION:A|B|C"
# Options whose values make trials incomparable or belong to no single trial,
# and the reason.
_FIXED_GROUPS = (
    (data_options.DataOptions, "trials must be compared on the same pictures"),
    (train_config.OutputOptions, "it changes no result"),
    (train_config.InterruptionOptions, "it changes no result"),
)
_FIXED = {
    "task": "trials must be compared by the same metric",
    "target_transform": "trials must be compared by the same metric",
    "seed": "it draws the splits, on which trials must be compared",
    "strategy": "it belongs to the machine",
    "tpu": "it belongs to the machine",
    "unlabeled_data": "trials must be compared on the same pictures",
    "keep_classifier": "nothing is trained with it",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
    """Numbers that an option may take.

    Attributes:
        option: Name of the option.
        low: Smallest value.
        high: Largest value.
        is_log: Whether the logarithm is drawn evenly, not the number.
        is_whole: Whether only whole numbers are drawn.
    """

    option: str
    low: float
    high: float
    is_log: bool
    is_whole: bool

    @property
    def text(self) -> str:
        """The entry of `--search`, such as "epochs:5..30"."""
        kind = "log:" if self.is_log else ""
        return f"{self.option}:{kind}{self.low:g}..{self.high:g}"

    def contains(self, value: Any) -> bool:
        """Returns whether a value of the option lies in the interval."""
        is_number = isinstance(value, (int, float))
        return is_number and self.low <= value <= self.high

    def parse(self, drawn: float) -> Any:
        """Converts a drawn number to the option's type, int or float."""
        return int(drawn) if self.is_whole else float(drawn)

    def to_drawn(self, value: Any) -> float:
        """Returns the number to draw for an option's value: itself."""
        return value

    @property
    def probes(self) -> tuple[float, ...]:
        """Both bounds, the values that are checked before any trial starts."""
        return self.low, self.high


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choices:
    """Values that an option may take.

    Attributes:
        option: Name of the option.
        texts: The values as texts of a flag.
    """

    option: str
    texts: tuple[str, ...]

    @property
    def text(self) -> str:
        """The entry of `--search`, such as "trainable:top|all"."""
        return f"{self.option}:{'|'.join(self.texts)}"

    def contains(self, value: Any) -> bool:
        """Returns whether a value of the option is one of the choices."""
        return value in map(self.parse, self.texts)

    def parse(self, drawn: str) -> Any:
        """Parses the drawn text of a choice into the option's value."""
        return _parse_value(self.option, drawn)

    def to_drawn(self, value: Any) -> str:
        """Returns the text of a value that `contains` accepts."""
        return next(text for text in self.texts if self.parse(text) == value)

    @property
    def probes(self) -> tuple[str, ...]:
        """All texts, the values that are checked before any trial starts."""
        return self.texts


Dimension = Interval | Choices
"""One option of a search space, with its possible values."""


def parse_search(entries: Sequence[str]) -> tuple[Dimension, ...]:
    """Parses the entries of `--search`.

    Args:
        entries: Such as "learning_rate:log:1e-5..3e-3" and "trainable:top|all".

    Returns:
        One dimension per entry, in their order.

    Raises:
        UsageError: There is no entry, an entry has none of the three forms, an
            option is unknown, named twice or cannot be searched, or a value is
            impossible.
    """
    if not entries:
        raise errors.UsageError(
            f"--search names no option. Give entries such as {_FORMS}, or "
            "leave it out for the default search space."
        )
    found = tuple(map(_parse_entry, entries))
    names = [each.option for each in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise errors.UsageError(
            f"--search names {twice[0]} twice; give one entry for it."
        )
    return found


def _parse_entry(entry: str) -> Dimension:
    option, colon, values = (part.strip() for part in entry.partition(":"))
    if not colon or not values:
        raise errors.UsageError(
            f"--search={entry} has no values; write {_FORMS}."
        )
    _check_option(option)
    if values.startswith("log:") or re.fullmatch(r"[^|]+\.\.[^|]+", values):
        return _parse_interval(option, values, entry)
    texts = tuple(part.strip() for part in values.split("|"))
    if len({_text_key(option, text) for text in texts}) < max(len(texts), 2):
        raise errors.UsageError(
            f"--search={entry} needs two different values or more, as in "
            f"{option}:A|B. A single value is a flag of its own: "
            f"--{option}={texts[0]}."
        )
    return Choices(option=option, texts=texts)


def _parse_interval(option: str, values: str, entry: str) -> Interval:
    kinds = {*option_types.list_alternatives(_split_kind(option)[0])}
    if not kinds & {int, float}:
        raise errors.UsageError(
            f"--search={entry} is an interval, and --{option} is "
            f"{option_types.describe_type(_split_kind(option)[0])}. Write "
            f"{option}:A|B."
        )
    is_log = values.startswith("log:")
    low_text, dots, high_text = values.removeprefix("log:").partition("..")
    is_whole = float not in kinds
    kind = int if is_whole else float
    try:
        low, high = kind(low_text), kind(high_text)
    except ValueError:
        low = high = math.nan
    if not (dots and low < high) or math.isinf(high - low):
        raise errors.UsageError(
            f"--search={entry} must be LOW..HIGH with two "
            f"{'whole ' * is_whole}numbers, LOW below HIGH."
        )
    if is_log and low <= 0:
        raise errors.UsageError(
            f"--search={entry} needs a LOW above 0: a logarithm is drawn."
        )
    interval = Interval(
        option=option, low=low, high=high, is_log=is_log, is_whole=is_whole
    )
    for bound in interval.probes:  # Bounds of the option itself.
        _require_possible(option, interval.parse(bound))
    return interval


def _check_option(option: str) -> None:
    """Raises `UsageError` unless an option exists and can be searched."""
    known = {n for n, _, _, _ in options.list_options(train_config.TrainConfig)}
    if option not in known:
        near = difflib.get_close_matches(option, sorted(known), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "See train --help."
        raise errors.UsageError(
            f"--search names {option!r}, which is no option of training. {hint}"
        )
    fixed = dict(_FIXED)
    for group, why in _FIXED_GROUPS:
        fixed |= {name: why for name, _, _, _ in options.list_options(group)}
    if option in fixed:
        raise errors.UsageError(
            f"--search cannot vary --{option}: {fixed[option]}. Give it as a "
            "flag, for all trials."
        )


def _split_kind(option: str) -> tuple[Any, bool]:
    field = options.find_field(train_config.TrainConfig, option)
    return option_types.split_optional(field)


def _text_key(option: str, text: str) -> str:
    """Returns a key of a choice's value; raises `UsageError` if impossible."""
    value = _parse_value(option, text)
    _require_possible(option, value)
    return repr(value)


def _parse_value(option: str, text: str) -> Any:
    kind, is_optional = _split_kind(option)
    if is_optional and text.lower() == "none":
        return None
    try:
        return option_types.parse_text(kind, text)
    except ValueError as error:
        raise errors.UsageError(f"--search: --{option} {error}") from error


def _require_possible(option: str, value: Any) -> None:
    """Raises `UsageError` for a value out of the option's own range."""
    options.from_keywords(train_config.TrainConfig, {option: value})
