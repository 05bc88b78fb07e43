"""What a signature says of one of its tensors."""

import dataclasses

import numpy as np

from tf_finetune.serving import failures


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """A named input or output.

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
        """Whether its first dimension counts examples, as many as come."""
        return bool(self.shape) and self.shape[0] is None

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises `RequestError` unless an array of this shape can be it."""
        if self.shape is None:
            return
        fits = len(shape) == len(self.shape) and all(
            wanted in (None, got)
            for wanted, got in zip(self.shape, shape, strict=True)
        )
        if not fits:
            raise failures.RequestError(
                400,
                f"Input {self.name!r} must have the shape "
                f"{_words(self.shape)}, got {_words(shape)}.",
            )


def _words(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("?" if n is None else str(n) for n in shape) + "]"
