"""Name, type and shape of a signature's inputs and outputs."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from tf_finetune.serving import failures

_SHOWN = 10  # Names or sizes in a message; requests may have very many.
# Value field of a TensorProto by NumPy type (tensor.proto).
_VALUE_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int64": "int64_val",
    "bool": "bool_val",
    **dict.fromkeys(["int32", "int16", "int8", "uint8"], "int_val"),
}


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """Name, type and shape of an input or output of a signature.

    Attributes:
        name: Its name in the signature.
        dtype: NumPy's type; object for strings, whose values are bytes.
        shape: Sizes, None for a dimension of any size; None: any shape.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int | None, ...] | None

    @property
    def is_text(self) -> bool:
        """Whether its values are strings of bytes."""
        return self.dtype == np.dtype(object)

    @property
    def has_rows(self) -> bool:
        """Whether its first dimension has any size, as a batch has."""
        return bool(self.shape) and self.shape[0] is None

    def check_type(self, dtype: np.dtype | None) -> None:
        """Raises `RequestError` 400 unless values have its type.

        Args:
            dtype: NumPy type of the values; None: they have none in NumPy.
        """
        if dtype != self.dtype:
            raise failures.RequestError(
                400,
                f"Input {self.name!r} must be {_format_type(self.dtype)}, got "
                f"{_format_type(dtype)}.",
            )

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises `RequestError` 400 unless arrays may have this shape."""
        if self.shape is None:
            return
        # None in the signature: any size of this dimension.
        fits = len(shape) == len(self.shape) and all(
            wanted in (None, got)
            for wanted, got in zip(self.shape, shape, strict=True)
        )
        if not fits:
            raise failures.RequestError(
                400,
                f"Input {self.name!r} must have the shape "
                f"{_format_shape(self.shape)}, got {_format_shape(shape)}.",
            )


def check_names(inputs: Sequence[TensorInfo], given: Iterable[str]) -> None:
    """Checks that a request gives exactly the inputs of a signature.

    Args:
        inputs: The inputs of the signature.
        given: Names of the given inputs, in any order.

    Raises:
        RequestError: 400, a name is missing or unknown.
    """
    wanted, got = {each.name for each in inputs}, sorted(given)
    if set(got) != wanted:
        raise failures.RequestError(
            400,
            f"The signature takes the inputs {', '.join(sorted(wanted))}, got "
            f"{_shorten_names(got) or 'none'}.",
        )


def measure_claimed_bytes(
    given: Mapping[str, tensor_pb2.TensorProto],
    inputs: Sequence[TensorInfo],
    check_rows: Callable[[int], None] = lambda rows: None,
) -> int:
    """Computes the size of a request's arrays in bytes before they are made.

    Args:
        given: Tensors by name.
        inputs: The inputs of the signature.
        check_rows: Gets the number of rows and raises `RequestError` for too
            many.

    Returns:
        Bytes of all arrays together; strings count as pointers.

    Raises:
        RequestError: Names, a type, a shape or a number of strings do not
            match the signature.
    """
    check_names(inputs, given)
    for each in inputs:
        sizes = given[each.name].tensor_shape.dim
        if each.has_rows and sizes:
            check_rows(sizes[0].size)
    return sum(_measure_claimed(given[each.name], each) for each in inputs)


def to_arrays(
    given: Mapping[str, tensor_pb2.TensorProto],
    inputs: Sequence[TensorInfo],
) -> dict[str, np.ndarray]:
    """Converts a request's tensors to arrays by name.

    Args:
        given: Tensors by name that `measure_claimed_bytes` accepts.
        inputs: The inputs of the signature.

    Raises:
        RequestError: 400, the values of a tensor do not fill its shape.
    """
    return {
        each.name: _convert_to_array(given[each.name], each.name)
        for each in inputs
    }


def from_array(array: np.ndarray) -> tensor_pb2.TensorProto:
    """Converts an array to a tensor with values in the field of their type.

    TensorFlow Serving does so, and clients read `float_val`; TensorFlow
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


def _shorten_names(names: list[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:_SHOWN])
    return shown + (f" … ({len(names)})" if len(names) > _SHOWN else "")


def _format_type(dtype: np.dtype | None) -> str:
    if dtype is None:
        return "a type that cannot be sent"
    return "string" if dtype == np.dtype(object) else str(dtype)


def _format_shape(shape: tuple[int | None, ...]) -> str:
    if len(shape) > _SHOWN:
        return f"one of {len(shape)} dimensions"
    return "[" + ", ".join("?" if n is None else str(n) for n in shape) + "]"


def _measure_claimed(tensor: tensor_pb2.TensorProto, info: TensorInfo) -> int:
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
