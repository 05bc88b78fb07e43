"""Tests of tf_finetune/tasks/regression/rows/column_features.py."""

import numpy as np
import pytest

from tf_finetune.tasks.regression.rows import column_features

_GENERATOR = np.random.default_rng(0)
_COUNT = 200
_NUMBERS = np.stack(
    [np.exp(_GENERATOR.normal(5, 1, _COUNT)), _GENERATOR.normal(size=_COUNT)],
    axis=1,
)
_WORDS = [(str(word),) for word in _GENERATOR.choice(list("abc"), _COUNT)]
_GROUPS = [str(number) for number in range(_COUNT)]


def _solve(targets: np.ndarray) -> column_features.ColumnsSolution:
    return column_features.solve_columns(
        _NUMBERS, _WORDS, targets, groups=_GROUPS, seed=0
    )


def test_logarithms_products_and_words_are_found():
    raised = np.array([[word == "b"] for (word,) in _WORDS], "float64")
    targets = np.log(_NUMBERS[:, :1]) * _NUMBERS[:, 1:] + 2 * raised
    targets = (targets - targets.mean()) / targets.std()
    solved = _solve(targets)
    assert solved.encoding.logged.tolist() == [True, False]
    assert solved.encoding.products
    assert column_features.compute_r2(targets, solved(_NUMBERS, _WORDS)) > 0.99


def test_a_word_never_seen_counts_nothing():
    solved = _solve(_GENERATOR.normal(size=[_COUNT, 1]))
    features = solved.encoding(_NUMBERS[:1], [("new",)])
    assert not features[0, -3:].any()


def test_a_missing_number_is_the_median_and_a_far_one_the_last_seen():
    numbers = _NUMBERS.copy()
    numbers[0, 0] = np.nan
    solved = column_features.solve_columns(
        numbers,
        _WORDS,
        _GENERATOR.normal(size=[_COUNT, 1]),
        groups=_GROUPS,
        seed=0,
    )
    encode = solved.encoding
    asked = np.array([[np.nan, 0.0], [np.nanmedian(numbers[:, 0]), 0.0]])
    got = encode(asked, [("a",)] * 2)
    # The median is kept in float32.
    np.testing.assert_allclose(got[0], got[1], rtol=1e-5)
    asked = np.array([[1e12, 0.0], [np.nanmax(numbers[:, 0]), 0.0], [-1, 0]])
    got = encode(asked, [("a",)] * 3)
    np.testing.assert_array_equal(got[0], got[1])
    assert np.isfinite(got).all()


def test_explained_is_r2():
    targets = np.array([[1.0], [2.0], [3.0]])
    assert column_features.compute_r2(targets, targets) == 1
    assert column_features.compute_r2(
        targets, np.full([3, 1], 2.0)
    ) == pytest.approx(0)
