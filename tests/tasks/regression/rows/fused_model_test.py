"""Tests of tf_finetune/tasks/regression/rows/fused_model.py."""

import keras
import numpy as np
import pytest

from tf_finetune.tasks.regression.rows import (
    column_features,
    fused_model,
    row_table,
)

_GENERATOR = np.random.default_rng(0)
_COUNT = 60


def _rows(numbers: np.ndarray) -> list[row_table.Row]:
    return [
        row_table.Row(where="", paths=(), numbers=tuple(row), words=())
        for row in numbers
    ]


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
    large = least + _GENERATOR.uniform(size=_COUNT) ** 4 * range_
    given = np.stack([large, _GENERATOR.normal(size=_COUNT)], axis=1)
    given[3, 0] = np.nan
    numbers, words = row_table.stack_inputs(_rows(given))
    encoding = column_features.solve_columns(
        numbers,
        words,
        _GENERATOR.normal(size=[_COUNT, 1]),
        groups=[str(number) for number in range(_COUNT)],
        seed=0,
    ).encoding
    inputs = keras.Input([2])
    model = keras.Model(inputs, fused_model._encode_numbers(encoding, inputs))

    got = model.predict_on_batch(given.astype("float32"))

    expected = encoding(numbers, words)[:, :2]
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert bool(encoding.logged[0]) == (range_ == 1e6)
