"""Validates arrays and tf.data pipelines and converts them to one form."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tf_finetune import errors

_SHAPES = "[height, width], [height, width, 1] or [height, width, 3]"
_FILES_HINT = (
    "Arrays have one class an image; numbers to predict, several labels and "
    "masks are read from a table or folders (docs/data.md)."
)
_EARLY_CHECK_COUNT = 64
"""The scale is checked after this many images, and again after the last."""
# Early, so that a large data set of floats in 0..1 is refused before thousands
# of black pictures are written; a few images may well be black by themselves.


def is_repeatable(data: Any) -> bool:
    """Tells if `data` can be read twice: True for a tuple or a list alone."""
    return isinstance(data, (tuple, list))


def iterate_pairs(data: Any) -> Iterator[tuple[np.ndarray, str]]:
    """Yields each image with its class name, one at a time.

    Args:
        data: `(images, labels)`, or an object with `as_numpy_iterator` (a
            `tf.data.Dataset`) that yields (image, label), batched or not.
            Values of images are 0..255; labels are whole numbers, names or
            one-hot rows.

    Yields:
        The image, uint8 [height, width] (gray) or [height, width, 3] of 0..255,
        and its class name; the number 3 becomes "3".

    Raises:
        DataError: The values cannot be pictures with classes: other shapes,
            values outside 0..255, floats that all lie in 0..1, no image at all.
            The type of `data` is checked at once, its values during the
            iteration.
    """
    if hasattr(data, "as_numpy_iterator"):
        found = _iterate_dataset(data)
    elif is_repeatable(data) and len(data) == 2:
        found = _iterate_arrays(*data)
    else:
        raise errors.DataError(
            "data must be a path, (images, labels) or a tf.data.Dataset of "
            f"(image, label); got {_describe_type(data)}."
        )
    return _check_images(found)


def _describe_type(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, dict):
        return f"{kind} with the keys {', '.join(map(str, value))}"
    return f"{kind} of {len(value)}" if hasattr(value, "__len__") else kind


def _check_images(
    found: Iterable[tuple[Any, str]],
) -> Iterator[tuple[np.ndarray, str]]:
    """Yields images as uint8; refuses floats that all lie in 0..1."""
    largest = 0.0
    count = 0
    for count, (image, label) in enumerate(found, start=1):
        pixels = np.asarray(image)
        _check_shape(pixels, count - 1)
        _check_values(pixels, count - 1)
        # Only floats can have been scaled to 0..1; integers of 0 and 1 are
        # nearly black pictures, and allowed.
        scaled = pixels.dtype.kind == "f"
        largest = max(largest, float(pixels.max()) if scaled else 255.0)
        if count == _EARLY_CHECK_COUNT:
            _check_scale(largest)
        if pixels.ndim == 3 and pixels.shape[-1] == 1:
            # Pillow writes [height, width] as a gray PNG.
            pixels = pixels[..., 0]
        yield np.rint(pixels).astype(np.uint8), label
    if count == 0:
        raise errors.DataError("data holds no image.")
    _check_scale(largest)


def _check_shape(pixels: np.ndarray, index: int) -> None:
    good = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3))
    if not good or pixels.size == 0:
        raise errors.DataError(
            f"Image {index} has the shape {pixels.shape}; possible: {_SHAPES}."
        )


def _check_values(pixels: np.ndarray, index: int) -> None:
    kind = pixels.dtype.kind
    if kind not in "uif":
        raise errors.DataError(
            f"Image {index} has the dtype {pixels.dtype}; images must be "
            "numbers from 0 to 255 (uint8, other integers or floats)."
        )
    if kind == "f" and not np.isfinite(pixels).all():
        raise errors.DataError(f"Image {index} holds NaN or infinite values.")
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > 255:
        raise errors.DataError(
            f"Image {index} holds values from {low:g} to {high:g}; they must "
            "be in 0..255. Undo the preprocessing: models scale their input "
            "themselves."
        )


def _check_scale(largest: float) -> None:
    if largest <= 1:
        raise errors.DataError(
            "The images are floats of at most 1, but must be in 0..255: "
            "multiply them by 255."
        )


def _iterate_arrays(images: Any, labels: Any) -> Iterator[tuple[Any, str]]:
    if len(images) != len(labels):
        raise errors.DataError(
            f"There are {len(images)} images but {len(labels)} labels."
        )
    if len(images):
        yield from zip(images, _to_class_names(np.asarray(labels)), strict=True)


def _iterate_dataset(data: Any) -> Iterator[tuple[Any, str]]:
    # -1 is tf.data.INFINITE_CARDINALITY, here without TensorFlow.
    if hasattr(data, "cardinality") and int(data.cardinality()) == -1:
        raise errors.DataError(
            "The tf.data.Dataset never ends; take `.repeat()` out."
        )
    for element in data.as_numpy_iterator():
        if not isinstance(element, tuple) or len(element) != 2:
            raise errors.DataError(
                "The tf.data.Dataset must give (image, label), got "
                f"{_describe_type(element)}. With TFDS: as_supervised=True."
            )
        image, label = np.asarray(element[0]), np.asarray(element[1])
        if _is_batch(image, label):
            yield from _iterate_arrays(image, label)
        else:
            # A batch of one, so that labels are read in one place.
            yield from _iterate_arrays(image[np.newaxis], label[np.newaxis])


def _is_batch(image: np.ndarray, label: np.ndarray) -> bool:
    """Distinguishes a batch of images from a single one.

    [a, b, c] is a batch of gray images or one image with channels.
    """
    if image.ndim == 4:
        return True
    # A last axis of 1 or 3 is read as channels.
    is_gray = image.ndim == 3 and image.shape[-1] not in (1, 3)
    return is_gray and label.ndim > 0 and len(label) == len(image)


def _to_class_names(labels: np.ndarray) -> list[str]:
    """Returns the class name of each label.

    Args:
        labels: [n] or [n, 1] whole numbers or texts, or [n, classes] one-hot.
    """
    # [n, 1], as Keras' CIFAR arrays have it, is no one-hot encoding.
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        labels = _decode_one_hot(labels)
    if labels.ndim != 1:
        raise errors.DataError(
            f"Labels must be one per image; their shape is {labels.shape}. "
            f"{_FILES_HINT}"
        )
    return [_to_class_name(label) for label in labels.tolist()]


def _decode_one_hot(rows: np.ndarray) -> np.ndarray:
    numbers = rows.dtype.kind in "buif"
    ones = numbers and np.isin(rows, (0, 1)).all() and (rows.sum(1) == 1).all()
    if not ones:
        raise errors.DataError(
            "Labels of several columns must be one-hot: one 1 in each row, "
            f"else 0. {_FILES_HINT}"
        )
    return rows.argmax(1)


def _to_class_name(label: Any) -> str:
    if isinstance(label, bytes):
        return label.decode("utf-8")
    if isinstance(label, float):
        if not label.is_integer():
            raise errors.DataError(
                f"Labels must be classes, got the number {label}. {_FILES_HINT}"
            )
        return str(int(label))
    # int() first: True becomes the class "1", not "True".
    if isinstance(label, (bool, int)):
        return str(int(label))
    if isinstance(label, str):
        return label
    raise errors.DataError(
        f"Labels must be whole numbers or names, got {label!r}."
    )
