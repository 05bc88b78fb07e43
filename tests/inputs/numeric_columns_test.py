"""Tests of tf_finetune/inputs/numeric_columns.py."""

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.inputs import numeric_columns

_GENERATOR = np.random.default_rng(0)
_INPUT = numeric_columns.NumericColumns(columns=("size", "shift"))


def _stack(numbers: np.ndarray) -> np.ndarray:
    return _INPUT.stack([tuple(row) for row in numbers])


def test_a_missing_number_is_the_median_and_a_far_one_the_last_seen():
    numbers = np.stack(
        [np.exp(_GENERATOR.normal(5, 1, 200)), _GENERATOR.normal(size=200)],
        axis=1,
    )
    numbers[0, 0] = np.nan
    encode = _INPUT.fit_encodings(_stack(numbers))[0].encode
    asked = np.array([[np.nan, 0.0], [np.nanmedian(numbers[:, 0]), 0.0]])
    got = encode(asked)
    # The median is kept in float32.
    np.testing.assert_allclose(got[0], got[1], rtol=1e-5)
    highest = np.nanmax(_stack(numbers)[:, 0])
    got = encode(np.array([[1e12, 0.0], [highest, 0.0], [-1, 0]]))
    np.testing.assert_array_equal(got[0], got[1])
    assert np.isfinite(got).all()


@pytest.mark.parametrize(
    ("least", "range_"),
    [
        (20_100_101, 140_000),  # YYYYMMDD of some years
        (20_240_101, 30),  # and of one month
        (1_700_000_000, 86_400),  # seconds since 1970, one day
        (1_700_000_000, 3e7),  # one year
        (1000, 1e6),  # learned by its logarithm
        (1234567.891, 0),  # always the same
    ],
)
def test_numbers_in_the_graph_are_those_that_were_solved_on(least, range_):
    large = least + _GENERATOR.uniform(size=60) ** 4 * range_
    given = np.stack([large, _GENERATOR.normal(size=60)], axis=1)
    given[3, 0] = np.nan
    numbers = _stack(given)
    plain, products = _INPUT.fit_encodings(numbers)
    for encoding in (plain, products):
        inputs = _INPUT.build(32)
        model = keras.Model(inputs, encoding.add_layers(inputs))
        got = model.predict_on_batch(given.astype("float32"))
        expected = encoding.encode(numbers)
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(got[:, :2], expected[:, :2], atol=1e-4)
    assert bool(plain.logged[0]) == (range_ == 1e6)


def test_few_rows_have_no_products():
    assert len(_INPUT.fit_encodings(_GENERATOR.normal(size=[8, 2]))) == 1


def test_numbers_that_float32_cannot_distinguish_are_named():
    with pytest.raises(errors.DataError, match="the numbers 'size'"):
        _INPUT.check([(1.7e12 + i, float(i)) for i in range(60)])
    _INPUT.check([(np.nan, float(i)) for i in range(60)])
