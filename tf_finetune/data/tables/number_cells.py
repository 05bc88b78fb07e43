"""Cells of a table that are numbers."""

import math

from tf_finetune import errors
from tf_finetune.data.tables import float32_range


def parse_number(text: str, what: str) -> float:
    """Parses a number that is finite and not too large for a model.

    Args:
        text: A cell.
        what: Names it in messages: "x.csv, line 3: the target 'price'".

    Raises:
        DataError: The text is not such a number.
    """
    if not text:
        raise errors.DataError(f"{what} is empty; it must be a number.")
    try:
        value = float(text)
    except ValueError as error:
        raise errors.DataError(
            f"{what} is {text!r}; it must be a number such as 1234.5."
        ) from error
    if not math.isfinite(value):
        raise errors.DataError(
            f"{what} is {text!r}; it must be finite. Remove the row or "
            "complete it."
        )
    float32_range.check_size(value, text, what)
    return value
