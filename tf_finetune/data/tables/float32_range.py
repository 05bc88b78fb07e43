"""Checks that numbers fit into float32, in which a model computes and answers.

Neither their size nor their digits may be lost: float32 ends at 3.4e38, and
near 1.7e12 its steps are 131,072 wide.
"""

import decimal
import math

import numpy as np

from tf_finetune import errors

# A hundred deviations beyond this are still numbers in float32.
_LARGEST = 1e36
# Differences below this become 0 when they are divided by their deviation.
_LEAST_SPREAD = 1e-30
# Below this share of their size, numbers have fewer than 84 steps of float32
# (2^-23 of their size) from the lowest to the highest.
_LEAST_SHARE = 1e-5
# A bound this many times the targets costs three of float32's seven digits.
_WIDEST_BOUND = 1e3
_FEWEST_STEPS = 20
# exp(15) is 10 steps of float32 off: closer together than this, numbers lose
# digits by their logarithm, which is a straight line there.
LEAST_LOGGED_SHARE = 0.01
# exp of the logarithm of a smaller number would be 0 in float32.
LEAST_LOGGED = 1e-36


def check_size(value: float, text: str, what: str) -> None:
    """Checks that a number is not too large for a model in float32.

    Args:
        value: The number, finite.
        text: The number as it stands in the table.
        what: The number's name in messages: "x.csv, line 3: the target
            'price'".

    Raises:
        DataError: The number lies beyond ±1e36.
    """
    if abs(value) > _LARGEST:
        power = math.ceil(math.log10(abs(value)))
        raise errors.DataError(
            f"{what} is {text!r}; numbers must lie between -{_LARGEST:g} and "
            f"{_LARGEST:g}, since the model computes in float32. Divide the "
            f"column by 1e{power}, or remove the row."
        )


def check_digits(values: np.ndarray, what: str) -> None:
    """Checks that numbers stay distinct in float32.

    Args:
        values: [n] finite float64, at least one.
        what: The numbers' name in messages: "the target 'price'".

    Raises:
        DataError: They lie too close together, for their size or at all. The
            message says how to rescale them. Numbers that are all equal pass.
    """
    low, high = float(np.min(values)), float(np.max(values))
    spread = high - low
    if not spread:
        return
    if spread < _LEAST_SPREAD:
        power = min(-math.floor(math.log10(spread)), 300)
        raise errors.DataError(
            f"The values of {what} differ by at most {spread:.3g}, which is "
            "too little for float32, in which the model computes. Multiply "
            f"the column by 1e{power}."
        )
    share = spread / max(abs(low), abs(high))
    if share < _LEAST_SHARE:
        # 2^-23 is the relative step of float32, of 24 bits of mantissa.
        steps = _describe_steps(share * 2**23)
        raise errors.DataError(
            f"The values of {what} lie between {format_number(low)} and "
            f"{format_number(high)}: the model answers in float32, which tells "
            f"{steps} apart there. {_describe_shift(low, spread)} before "
            "training, and undo it in the predictions."
        )


def _describe_steps(steps: float) -> str:
    return f"about {round(steps)} values" if steps >= 1.5 else "hardly any"


def describe_crowding(values: np.ndarray, what: str) -> str:
    """Describes values that are too close, but for outliers, for float32.

    Args:
        values: [n] finite float64, as `check_digits` lets them pass.
        what: The numbers' name in messages: "the target 'price'".

    Returns:
        A warning of a few sentences if float32 has fewer than 20 numbers
        between the quartiles of the values; else empty.
    """
    # The middle half of the values, which outliers do not widen.
    low, high = (float(v) for v in np.percentile(values, [25, 75]))
    spread, largest = high - low, max(abs(low), abs(high))
    if not spread or spread / largest * 2**23 >= _FEWEST_STEPS:
        return ""
    steps = _describe_steps(spread / largest * 2**23)
    return (
        f"Half of the values of {what} lie between {format_number(low)} and "
        f"{format_number(high)}, where float32, in which the model answers, "
        f"tells {steps} apart. Check the outliers "
        f"({format_number(float(values.min()))} to "
        f"{format_number(float(values.max()))}). If they are removed: "
        f"{_describe_shift(low, spread)}."
    )


def check_bounds(
    values: np.ndarray, bounds: tuple[float, ...], what: str
) -> None:
    """Checks that bounds of the predictions do not cost digits in float32.

    They are applied as max(value - low, 0) + low in float32.

    Args:
        values: [n] float64 of a target, at least one.
        bounds: (low, high) of `--target_range`, infinite where there is no
            bound; empty: nothing is checked.
        what: The target's name in messages: "the target 'price'".

    Raises:
        DataError: The lower bound, or the upper one if there is no lower one,
            is over 1000 times as large as the values.
    """
    if not bounds:
        return
    low, high = bounds
    far = low if math.isfinite(low) else high
    widest = _WIDEST_BOUND * max(float(np.ptp(values)), np.abs(values).max())
    if math.isfinite(far) and abs(far) > widest:
        # A round number of the limit's size, for the message.
        nearest = _WIDEST_BOUND * 10 ** math.floor(math.log10(widest / 1e3))
        raise errors.DataError(
            f"--target_range={low:g},{high:g} is far wider than the values of "
            f"{what} ({format_number(float(values.min()))} to "
            f"{format_number(float(values.max()))}), so that predictions would "
            f"lose digits in float32. Use bounds between -{nearest:g} and "
            f"{nearest:g}, or leave the option out."
        )


def _describe_shift(low: float, spread: float) -> str:
    """Describes how to move numbers near 0: "Subtract 1700000000000 …".

    Args:
        low: The lowest of them.
        spread: From it to the highest, above 0.
    """
    # Decimal: the offset must be exact in the message, whatever its size.
    step = decimal.Decimal(10) ** math.floor(math.log10(spread))
    with decimal.localcontext(prec=60):
        steps = (decimal.Decimal(low) / step).to_integral_value(
            decimal.ROUND_FLOOR
        )
        offset = steps * step
    if offset < 0:
        return f"Add {-offset:f} to the column"
    return f"Subtract {offset:f} from the column"


def format_number(value: float) -> str:
    """Formats a number with all its digits: 3.0 as "3", 0.1 as "0.1"."""
    if value == round(value) and abs(value) < 2**63:
        return f"{value:.0f}"
    return repr(value)


def parse_number(text: str, what: str) -> float:
    """Parses a cell as a number that is finite and not too large for a model.

    Args:
        text: The cell's text.
        what: The number's name in messages: "x.csv, line 3: the target
            'price'".

    Raises:
        DataError: The text is empty or not such a number.
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
    check_size(value, text, what)
    return value
