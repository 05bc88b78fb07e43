"""Class names after the values in masks, where none are declared."""

from collections.abc import Sequence

from tf_finetune import errors
from tf_finetune.data.masks import mask_files

BINARY_NAMES = ("background", "foreground")
WHITE = 255
# How far a shade may be from its place among equal distances.
_SHADE_TOLERANCE = 2
_MAX_SHOWN = 20


def name_values(left: Sequence[int]) -> tuple[list[str], list[int]]:
    """Names classes after the values that occur, or after all up to these."""
    if {*left} <= {0, WHITE} and WHITE in left:
        return list(BINARY_NAMES), [0, WHITE]
    _check_white(left)
    if not _has_gaps(left):
        highest = left[-1] if left else 0
        if highest <= 1:
            return list(BINARY_NAMES), [0, 1]
        every = list(range(highest + 1))
        return [f"class_{value}" for value in every], every
    if len(left) > mask_files.MAX_CLASSES:
        raise errors.DataError(
            f"The masks hold {len(left)} different values up to {left[-1]}; at "
            f"most {mask_files.MAX_CLASSES} classes are possible. Colors are "
            "read with --color_map; --ignore_label leaves out one value."
        )
    if len(left) == 2 and left[0] == 0:
        return list(BINARY_NAMES), list(left)
    return [f"class_{value}" for value in left], list(left)


def _has_gaps(left: Sequence[int]) -> bool:
    """Tells if values look like shades rather than class numbers.

    Numbers count from 0 on; that a few classes do not occur is usual, that
    most do not is not.
    """
    if not left:
        return False
    absent = left[-1] + 1 - len(left)
    return absent > len(left) or left[-1] >= mask_files.MAX_CLASSES


def _check_white(left: Sequence[int]) -> None:
    """Raises `DataError` where 255 may be a class or mean "ignored".

    It is a class where all values lie at equal distances up to it.
    """
    others = [value for value in left if value != WHITE]
    if not others or not left or left[-1] != WHITE:
        return
    step = WHITE / (len(left) - 1)
    even = left[0] == 0 and all(
        abs(value - k * step) <= _SHADE_TOLERANCE
        for k, value in enumerate(left)
    )
    if even or others[-1] == WHITE - 1:
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
