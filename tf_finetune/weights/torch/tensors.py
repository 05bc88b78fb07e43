"""Tensors of PyTorch files as NumPy arrays: element types, strided views."""

import dataclasses
import math

import numpy as np

from tf_finetune import errors

# By the names that pickles use; values of safetensors' names are below.
_STORAGE_TYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
_SAFETENSORS_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
# NumPy's arrays have at most 64 axes, PyTorch's files in practice 5.
_MAX_AXES = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Storage:
    """Block of numbers in a file that one or more tensors are views of.

    Attributes:
        key: Name of the block in the file.
        dtype: Element type: "float32", "bfloat16", ….
        count: Number of elements.
    """

    key: str
    dtype: str
    count: int

    @property
    def byte_count(self) -> int:
        """Size of all its elements, in bytes."""
        return self.count * find_dtype(self.dtype).itemsize


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorView:
    """Tensor of a file as a strided view of a storage that is not read yet.

    Attributes:
        storage: Block of numbers that the tensor lies in.
        offset: Index of its first element in the storage.
        shape: Sizes of its axes.
        strides: Steps in the storage along its axes, in elements, not bytes.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def find_storage_type(name: str) -> str | None:
    """Returns the element type of a storage class, or None if it is unknown.

    Args:
        name: Class name in a pickle: "FloatStorage" is "float32".
    """
    return _STORAGE_TYPES.get(name)


def find_safetensors_type(name: str) -> str | None:
    """Returns the element type of a safetensors dtype, or None if unknown.

    Args:
        name: Name in a safetensors header: "F32" is "float32".
    """
    return _SAFETENSORS_TYPES.get(name)


def find_dtype(name: str) -> np.dtype:
    """Returns the little-endian NumPy dtype of an element type.

    Args:
        name: As in `Storage.dtype`: "float32", "bfloat16" (from ml_dtypes), ….
    """
    # NumPy has no bfloat16 of its own.
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name).newbyteorder("<")


def make_view(
    storage: object, offset: object, shape: object, strides: object
) -> TensorView:
    """Makes a view of a storage after checking values that a file may forge.

    Args:
        storage: A `Storage`.
        offset: Index of the first element.
        shape: List or tuple of the sizes of the axes.
        strides: List or tuple of steps along the axes, in elements.

    Raises:
        RunError: The view reaches outside its storage, has more elements than
            it (a stride of 0 makes an array of any size), or a value is of the
            wrong type.
    """
    if not isinstance(storage, Storage):
        raise errors.RunError("A tensor in the file has no storage.")
    sizes, steps = list_counts(shape), list_counts(strides)
    start = list_counts((offset,))[0]
    if len(sizes) != len(steps):
        raise errors.RunError(
            f"A tensor in the file has {len(sizes)} sizes and {len(steps)} "
            "strides."
        )
    elements = math.prod(sizes)
    # Position behind the last number: offset + Σ (size - 1)·stride + 1.
    end = (
        start + 1 + sum((n - 1) * s for n, s in zip(sizes, steps, strict=True))
    )
    if elements and (end > storage.count or elements > storage.count):
        raise errors.RunError(
            f"A tensor of shape {list(sizes)} with strides {list(steps)} at "
            f"{start} does not lie within its storage {storage.key!r} of "
            f"{storage.count:,} numbers."
        )
    return TensorView(storage=storage, offset=start, shape=sizes, strides=steps)


def view_array(numbers: np.ndarray, view: TensorView) -> np.ndarray:
    """Returns a tensor as an array that shares its storage's memory.

    Args:
        numbers: [count] elements of the storage.
        view: Checked view, from `make_view`.

    Returns:
        Array of the view's shape and the dtype of `numbers`; not a copy, but
        for an empty one.
    """
    # An empty tensor may begin behind the end of its storage.
    if not math.prod(view.shape):
        return np.zeros(view.shape, numbers.dtype)
    size = numbers.dtype.itemsize
    # NumPy checks the bounds a second time.
    return np.ndarray(
        view.shape,
        numbers.dtype,
        numbers,
        view.offset * size,
        tuple(stride * size for stride in view.strides),
    )


def list_counts(values: object) -> tuple[int, ...]:
    """Checks sizes or strides from a file and returns them as a tuple.

    Args:
        values: List or tuple of 16 whole numbers at most, each from 0 to 2^48.

    Raises:
        RunError: They are something else.
    """
    if not isinstance(values, list | tuple) or len(values) > _MAX_AXES:
        raise errors.RunError(
            "A tensor in the file has no list of sizes or strides, or one of "
            f"more than {_MAX_AXES}."
        )
    # Not isinstance: True is an int to it.
    for each in values:
        if type(each) is not int or not 0 <= each < 1 << 48:
            raise errors.RunError(
                "A tensor in the file has a size, stride or offset that is "
                "no count."
            )
    return tuple(values)
