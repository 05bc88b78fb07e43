"""Tests of tf_finetune/serving/size_limits.py."""

import numpy as np
import pytest

from tf_finetune.serving import image_sizes, size_limits, tensor_info

_ONE = image_sizes.ImageSize(12, 4)


def _info(shape, kind="int32"):
    return tensor_info.TensorInfo("x", np.dtype(kind), shape)


@pytest.mark.parametrize(
    ("shape", "kind", "rows", "pictures", "expected"),
    [
        ((None, 7), "float32", 3, _ONE, 3 * 7 * 4),
        ((None, 8, 8, 5), "float32", 2, _ONE, 2 * 8 * 8 * 5 * 4),
        ((None, None, None), "int32", 1, _ONE, 12 * 4),
        ((None, None, None), "int32", 3, image_sizes.ImageSize(14, 4),
         3 * 16 * 4),
        ((None, None, None, 2), "uint8", 2, _ONE, 2 * 16 * 2),
        ((None, None), "float32", 2, image_sizes.ImageSize(), 0),
        ((), "float64", 9, _ONE, 8),
        (None, "float32", 9, _ONE, 4),
        ((None,), "int8", 0, image_sizes.ImageSize(), 0),
    ],
)  # fmt: skip
def test_sides_are_known_or_those_of_the_pictures(
    shape, kind, rows, pictures, expected
):
    found = size_limits.bound_bytes([_info(shape, kind)], rows, pictures)
    assert found == expected


def test_outputs_are_added_up():
    outputs = [_info((None,), "int8"), _info((None, 2), "int64")]
    assert size_limits.bound_bytes(outputs, 5, _ONE) == 5 + 80


def test_one_long_and_one_high_picture_are_filled_up_to_both():
    size = image_sizes.ImageSize(2 * 50_000, 50_000)
    found = size_limits.bound_bytes([_info((None, None, None))], 2, size)
    assert found == 2 * 50_000 * 50_000 * 4


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((None, None, None), True), ((None, 3), False), ((None,), False),
     ((), False), (None, False)],
)  # fmt: skip
def test_what_has_open_sides_is_filled_up(shape, expected):
    outputs = [_info((None,)), _info(shape)]
    assert size_limits.is_padded(outputs) is expected
