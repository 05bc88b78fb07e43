"""Numbers that float32 cannot hold are refused with what to do."""

import re

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.data.tables import float32_range

_SHARES = np.linspace(0, 1, 60)


def _followed(values, message):
    """Does with values what a message says."""
    word, number = re.search(
        r"(Subtract|Add|Multiply the column by) (\S+\d)", message
    ).groups()
    number = float(number)
    if word.startswith("Multiply"):
        return values * number
    return values - number if word == "Subtract" else values + number


@pytest.mark.parametrize(
    ("low", "spread", "advice"),
    [
        (1_700_000_000_000, 600_000, "Subtract 1700000000000 from"),
        (-1_700_000_000_000, 600_000, "Add 1700000000000 to"),
        (5_800_123.25, 20, "Subtract 5800120 from"),
        (1e6, 0.5, "Subtract 1000000 from"),
        (1.7e18, 6e11, "Subtract 1700000000000000000 from"),
        (3e-20, 1e-27, "Subtract 0.00000000000000000003"),
        (0.0, 1e-33, "Multiply the column by 1e33"),
        (0.0, 5e-320, "Multiply the column by 1e300"),
    ],
)
def test_what_loses_its_digits_is_refused_with_advice_that_helps(
    low, spread, advice
):
    values = low + spread * _SHARES
    with pytest.raises(errors.DataError) as caught:
        float32_range.check_digits(values, "the target 'ms'")
    message = str(caught.value)
    assert "'ms'" in message
    assert advice in message
    float32_range.check_digits(_followed(values, message), "the target 'ms'")


@pytest.mark.parametrize(
    ("low", "spread"),
    [
        (0, 1e12),
        (0, 1e-9),
        (-1000, 1000),
        (1990.5, 30),  # Years with fractions.
        (293_000, 2_000),  # Temperatures in mK.
        (5_600_000, 1_000),  # UTM coordinates.
        (-1e36, 2e36),
        (7, 0),  # What is constant is told elsewhere.
    ],
)
def test_what_float32_tells_apart_is_accepted(low, spread):
    values = low + spread * _SHARES
    float32_range.check_digits(values, "x")
    rounded = values.astype("float32").astype("float64")
    assert np.abs(rounded - values).max() <= 0.01 * max(spread, 1e-9)


@pytest.mark.parametrize("text", ["1e37", "-1e308", "1.7976931348623157e308"])
def test_a_number_beyond_float32_names_its_place_and_what_is_possible(text):
    with pytest.raises(errors.DataError) as caught:
        float32_range.check_size(
            float(text), text, "x.csv, line 3: the target 'a'"
        )
    message = str(caught.value)
    assert "x.csv, line 3: the target 'a'" in message
    assert repr(text) in message
    assert "between -1e+36 and 1e+36" in message
    power = float(re.search(r"Divide the column by (\S+),", message).group(1))
    float32_range.check_size(float(text) / power, text, "a")


def test_one_far_value_does_not_hide_that_the_others_are_close():
    values = np.append(1.7e12 + 6e5 * _SHARES, 0.0)
    float32_range.check_digits(values, "x")  # Its whole range is wide.
    warning = float32_range.describe_crowding(values, "the target 'ms'")
    assert "(0 to 1700000600000)" in warning
    assert "Subtract 170000" in warning
    assert float32_range.describe_crowding(values - 1.7e12, "x") == ""
    assert float32_range.describe_crowding(_SHARES, "x") == ""


@pytest.mark.parametrize(
    ("bounds", "refused"),
    [
        ((), False),
        ((0.0, np.inf), False),
        ((-np.inf, np.inf), False),
        ((-1.0, 2.0), False),
        ((0.0, 1e30), False),  # A bound above costs nothing where low is 0.
        ((-1e9, 1e9), True),
        ((-np.inf, 1e9), True),
        ((-1e9, np.inf), True),
    ],
)
def test_bounds_that_would_cost_digits_are_refused(bounds, refused):
    if not refused:
        float32_range.check_bounds(_SHARES, bounds, "x")
        return
    with pytest.raises(errors.DataError, match="between -1000 and 1000"):
        float32_range.check_bounds(_SHARES, bounds, "x")
    low, high = np.clip(bounds, -1000, 1000)
    float32_range.check_bounds(_SHARES, (low, high), "x")


def test_the_number_of_values_apart_is_told_in_words():
    with pytest.raises(errors.DataError, match="tells hardly any apart"):
        float32_range.check_digits(np.array([1e15, 1e15 + 9]), "x")
    with pytest.raises(errors.DataError, match="tells about 17 values apart"):
        float32_range.check_digits(np.array([1e9, 1e9 + 2000]), "x")
