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


tf = pytest.importorskip("tensorflow")


_TEXT = tensor_info.TensorInfo("t", np.dtype(object), (None,))


_NUMBERS = tensor_info.TensorInfo("n", np.dtype("float32"), (None, 2))


def test_arrays_come_back_as_they_were():
    given = {
        "t": tf.make_tensor_proto([b"\x00a", b""]),
        "n": tf.make_tensor_proto(np.ones([3, 2], "f4")),
    }
    assert (
        tensor_info.measure_claimed_bytes(given, (_TEXT, _NUMBERS))
        == 2 * 8 + 6 * 4
    )
    arrays = tensor_info.to_arrays(given, (_TEXT, _NUMBERS))
    assert arrays["t"].tolist() == [b"\x00a", b""]
    np.testing.assert_array_equal(arrays["n"], np.ones([3, 2]))


@pytest.mark.parametrize(
    ("info", "type_"),
    [
        (_TEXT, tf.resource),
        (_TEXT, tf.variant),
        (_TEXT, tf.float32),
        (_NUMBERS, tf.string),
        (_NUMBERS, tf.float64),
        (_NUMBERS, tf.qint8),
    ],
)
def test_another_type_is_refused(info, type_):
    tensor = tf.make_tensor_proto(np.ones([1, 2], "f4"))
    tensor.dtype = type_.as_datatype_enum
    with pytest.raises(failures.RequestError, match="must be"):
        tensor_info.measure_claimed_bytes({info.name: tensor}, (info,))


def test_a_type_that_does_not_exist_is_refused():
    tensor = tf.make_tensor_proto([1.0])
    tensor.dtype = 99
    with pytest.raises(failures.RequestError, match="must be"):
        tensor_info.measure_claimed_bytes({"t": tensor}, (_TEXT,))


def test_strings_of_a_shape_without_values_are_refused():
    tensor = tf.make_tensor_proto([b"a", b"b"])
    tensor.ClearField("string_val")
    with pytest.raises(failures.RequestError, match="2 strings, got 0"):
        tensor_info.measure_claimed_bytes({"t": tensor}, (_TEXT,))


def test_outputs_lie_in_the_field_of_their_type():
    tensor = tensor_info.from_array(np.array([[1, 2]], "int64"))
    assert list(tensor.int64_val) == [1, 2] and not tensor.tensor_content
    assert list(
        tensor_info.from_array(np.array([b"a"], object)).string_val
    ) == [b"a"]


@pytest.mark.parametrize(
    "kind",
    ["bool", "int8", "int16", "int32", "int64", "uint8", "float32", "float64"],
)
@pytest.mark.parametrize("shape", [(), (0,), (2, 2), (0, 3)])
def test_outputs_of_every_type_come_back(kind, shape):
    array = np.ones(shape, kind)
    again = tf.make_ndarray(tensor_info.from_array(array))
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)
