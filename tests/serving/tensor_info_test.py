"""Tests of tf_finetune/serving/tensor_info.py."""

import numpy as np
import pytest

from tf_finetune.serving import failures, tensor_info


def _info(shape):
    return tensor_info.TensorInfo("x", np.dtype("float32"), shape)


@pytest.mark.parametrize(
    ("shape", "got"),
    [((None, 3), (5, 3)), ((None, 3), (0, 3)), ((), ()), (None, (1, 2))],
)
def test_a_shape_that_fits_passes(shape, got):
    _info(shape).check(got)


@pytest.mark.parametrize(
    ("shape", "got"),
    [((None, 3), (5, 4)), ((None, 3), (5,)), ((), (1,)), ((2,), (3,))],
)
def test_another_shape_is_a_400(shape, got):
    with pytest.raises(failures.RequestError, match="must have the shape"):
        _info(shape).check(got)


def test_rows_are_counted_by_a_first_dimension_of_any_size():
    assert _info((None, 2)).has_rows
    for shape in ((2, None), (), None):
        assert not _info(shape).has_rows
