"""Conversion between arrays and TensorProto, bounded by the claimed size."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from tf_finetune.serving import failures, tensor_info

# Value field of a TensorProto by NumPy type (tensor.proto).
_VALUE_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int64": "int64_val",
    "bool": "bool_val",
    **dict.fromkeys(["int32", "int16", "int8", "uint8"], "int_val"),
}


def measure_claimed_bytes(
    given: Mapping[str, tensor_pb2.TensorProto],
    inputs: Sequence[tensor_info.TensorInfo],
    check_rows: Callable[[int], None] = lambda rows: None,
) -> int:
    """Computes the size of the arrays in bytes without allocating them.

    Args:
        given: Tensors by name.
        inputs: The inputs of the signature.
        check_rows: Raises `RequestError` for too many examples.

    Raises:
        RequestError: Names, a type, a shape or a number of strings do not
            match the signature.
    """
    tensor_info.check_names(inputs, given)
    for each in inputs:
        sizes = given[each.name].tensor_shape.dim
        if each.has_rows and sizes:
            check_rows(sizes[0].size)
    return sum(_measure_claimed(given[each.name], each) for each in inputs)


def to_arrays(
    given: Mapping[str, tensor_pb2.TensorProto],
    inputs: Sequence[tensor_info.TensorInfo],
) -> dict[str, np.ndarray]:
    """Converts tensors to arrays; to be called after `measure_claimed_bytes`.

    Raises:
        RequestError: The values do not fill the shape.
    """
    return {
        each.name: _convert_to_array(given[each.name], each.name)
        for each in inputs
    }


def from_array(array: np.ndarray) -> tensor_pb2.TensorProto:
    """Converts an output, its values in the field of their type.

    As TensorFlow Serving does, because clients read `float_val`; TensorFlow
    itself would write the bytes of the array.
    """
    field = _VALUE_FIELDS.get(array.dtype.name)
    if field is None:
        return tf.make_tensor_proto(array)
    tensor = tensor_pb2.TensorProto(
        dtype=tf.as_dtype(array.dtype).as_datatype_enum,
        tensor_shape=tf.TensorShape(array.shape).as_proto(),
    )
    getattr(tensor, field).extend(array.ravel().tolist())
    return tensor


def _measure_claimed(
    tensor: tensor_pb2.TensorProto, info: tensor_info.TensorInfo
) -> int:
    info.check_type(_find_numpy_type(tensor))
    sizes = tuple(dimension.size for dimension in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in sizes):
        raise failures.RequestError(
            400, f"Input {info.name!r} must have a shape of known sizes."
        )
    info.check(sizes)
    # A TensorProto may give one number for the whole shape (a broadcast), so a
    # few bytes can claim gigabytes. Strings must all be there.
    claimed = math.prod(sizes)
    if info.is_text and len(tensor.string_val) != claimed:
        raise failures.RequestError(
            400,
            f"Input {info.name!r} of shape {list(sizes)[:16]} must hold "
            f"{claimed} strings, got {len(tensor.string_val)}.",
        )
    return claimed * info.dtype.itemsize


def _find_numpy_type(tensor: tensor_pb2.TensorProto) -> np.dtype | None:
    """Returns the NumPy type of a tensor; None if no array can hold it."""
    if tensor.dtype == types_pb2.DT_STRING:
        return np.dtype(object)
    try:
        dtype = np.dtype(tf.as_dtype(tensor.dtype).as_numpy_dtype)
    except (LookupError, TypeError, ValueError):
        return None
    # Resources and variants are objects to NumPy, too.
    return None if dtype == np.dtype(object) else dtype


def _convert_to_array(tensor: tensor_pb2.TensorProto, name: str) -> np.ndarray:
    try:
        return tf.make_ndarray(tensor)
    except (TypeError, ValueError) as error:
        raise failures.RequestError(
            400, f"Input {name!r} is not a tensor: {error}"
        ) from error
