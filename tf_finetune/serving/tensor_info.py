"""Name, type and shape of a signature's inputs and outputs."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from tf_finetune.serving import failures

_SHOWN = 10  # Names or sizes in a message; requests may have very many.


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """Named input or output of a signature.

    Attributes:
        name: Its name in the signature.
        dtype: NumPy's type; object for strings, whose values are bytes.
        shape: Sizes, None where any will do; None: any shape.
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
        """Whether its first dimension is the batch, of any size."""
        return bool(self.shape) and self.shape[0] is None

    def check_type(self, dtype: np.dtype | None) -> None:
        """Raises `RequestError` unless it takes values of this type."""
        if dtype != self.dtype:
            raise failures.RequestError(
                400,
                f"Input {self.name!r} must be {_format_type(self.dtype)}, got "
                f"{_format_type(dtype)}.",
            )

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises `RequestError` unless it takes arrays of this shape."""
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
    """Raises `RequestError` unless exactly these inputs are given."""
    wanted, got = {each.name for each in inputs}, sorted(given)
    if set(got) != wanted:
        raise failures.RequestError(
            400,
            f"The signature takes the inputs {', '.join(sorted(wanted))}, got "
            f"{_shorten_names(got) or 'none'}.",
        )


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
