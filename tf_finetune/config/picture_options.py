"""Options for the pixels of a picture: square shape, transparency, range."""

import dataclasses
from typing import Literal

from tf_finetune import errors
from tf_finetune.config import conditions, options

Background = Literal["white", "black", "gray"]

MAX_PIXEL_VALUE = 2**16 - 1
"""The largest value that 16 bits hold."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PixelOptions:
    """Background of transparent pixels, and range of 16-bit values.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    background: Background = options.option(
        "white",
        "Color behind transparent pixels: white, black or gray. Pictures "
        "without transparency are not changed.",
        used_by=conditions.EVERY_RUN,
    )
    pixel_range: Literal["auto", "full"] | tuple[int, ...] = options.option(
        "auto",
        "16-bit pictures: LOW,HIGH become black and white, e.g. 0,4095 for "
        "values of 12 bits; full: 0,65535; auto: the same, and a warning where "
        "the pictures use a small part of it.",
        used_by=conditions.EVERY_RUN,
    )

    def __post_init__(self) -> None:
        bounds = self.bounds
        if not isinstance(self.pixel_range, str) and not (
            len(bounds) == 2 and 0 <= bounds[0] < bounds[1] <= MAX_PIXEL_VALUE
        ):
            raise errors.UsageError(
                "--pixel_range must be auto, full or LOW,HIGH with whole "
                f"numbers 0 <= LOW < HIGH <= {MAX_PIXEL_VALUE}, got "
                f"{options.to_text(self.pixel_range)}."
            )

    @property
    def bounds(self) -> tuple[int, ...]:
        """The two 16-bit values that become 0 and 255; empty: 0 and 65535."""
        if isinstance(self.pixel_range, str):
            return ()
        return tuple(self.pixel_range)

    @property
    def key(self) -> str:
        """Text for cache keys, equal if pictures are decoded alike."""
        bounds = "-".join(map(str, self.bounds)) or "full"
        return f"{self.background}-{bounds}"


DEFAULT_PIXELS = PixelOptions()
"""Defaults: transparency on white, 16-bit values from 0 to 65535."""


Resize = Literal["squash", "crop", "pad"]


@dataclasses.dataclass(frozen=True)
class Square:
    """Square that a picture file is decoded into.

    Attributes:
        size: Its side in pixels.
        resize: How a picture becomes square: "squash" ignores its shape, "crop"
            keeps the largest square in its middle, "pad" adds black around it.
        pixels: Background of transparent pixels, and range of 16-bit values.
    """

    size: int
    resize: Resize = "squash"
    pixels: PixelOptions = DEFAULT_PIXELS
