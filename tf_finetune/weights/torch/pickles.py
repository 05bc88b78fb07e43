"""Pickles of tensors, interpreted without Python's unpickler.

Nothing is imported or run: `pickle_machine` knows the few instructions and
names that a state dict needs. What is built is bounded by their number.
"""

import pickletools
from collections.abc import Iterator
from typing import Any, BinaryIO

from tf_finetune import errors
from tf_finetune.weights.torch import pickle_machine

MAX_BYTES = 64 << 20
"""Largest pickle that is interpreted, bytes; a network's has under 1 MB."""

# A checkpoint of ResNet-152 with its optimizer has 130,000.
_MAX_INSTRUCTIONS = 1_000_000
# Tensors' numbers lie outside the pickle, so that values in it are small.
_MAX_VALUE_BYTES = 1 << 20


class BoundedFile:
    """Reader of a file that refuses more than a number of bytes in all.

    A value in the file may have 1 MiB at most.

    Args:
        file: Binary file, read from its position on.
        limit: Bytes that may be read in all.
    """

    def __init__(self, file: BinaryIO, limit: int = MAX_BYTES) -> None:
        """Wraps a file."""
        self._file = file
        self._left = limit

    def read(self, count: int) -> bytes:
        """Reads `count` bytes, fewer at the end of the file.

        Raises:
            RunError: They are more than 1 MiB, or than the limit still allows.
        """
        self._take(count)
        return self._file.read(count)

    def readline(self) -> bytes:
        """Reads a line with its end, or its first 1000 bytes if it is longer.

        Raises:
            RunError: It is longer than the limit still allows.
        """
        # Names have less than 100 bytes; a line without end is not read whole.
        line = self._file.readline(1000)
        self._take(len(line))
        return line

    def _take(self, count: int) -> None:
        if count > min(_MAX_VALUE_BYTES, self._left):
            raise errors.RunError(
                "The pickle in the file is refused: it is larger than "
                f"{MAX_BYTES >> 20} MiB, or a value in it than "
                f"{_MAX_VALUE_BYTES >> 20} MiB."
            )
        self._left -= count


def load_pickle(file: BoundedFile) -> Any:
    """Interprets the next pickle of a file; imports and runs nothing.

    Args:
        file: Stands behind the pickle afterwards.

    Returns:
        The pickled object, made of numbers, texts, tuples, lists and dicts;
        tensors as `tensors.TensorView`, storages as `tensors.Storage`.

    Raises:
        RunError: It calls functions that no tensor needs, is no pickle, or is
            too large.
    """
    machine = pickle_machine.Machine()
    instructions = _iterate_instructions(file)
    try:
        for name, argument in instructions:
            if name == "STOP":
                return machine.stack.pop()
            machine.run(name, argument)
    except pickle_machine.ForeignNameError as error:
        raise errors.RunError(
            _describe_foreign_name(error.name, instructions)
        ) from error
    except (
        IndexError,
        KeyError,
        OverflowError,
        TypeError,
        ValueError,
    ) as error:
        raise errors.RunError(
            f"The pickle in the file is damaged ({type(error).__name__}: "
            f"{error})."
        ) from error
    raise errors.RunError("The pickle in the file has no end.")


def _iterate_instructions(file: BoundedFile) -> Iterator[tuple[str, Any]]:
    # genops decodes one instruction after the other and runs none.
    for number, (code, argument, _) in enumerate(pickletools.genops(file)):
        if number >= _MAX_INSTRUCTIONS:
            raise errors.RunError(
                "The pickle in the file is refused: it has more than "
                f"{_MAX_INSTRUCTIONS:,} instructions."
            )
        yield code.name, argument


def _describe_foreign_name(name: str, rest: Iterator[tuple[str, Any]]) -> str:
    advice = (
        "Nothing of it was run. Save the weights alone, with torch.save("
        "net.state_dict(), 'weights.pth')."
    )
    # A whole model may begin with a user's class; torch's modules come later.
    try:
        later = [str(each) for code, each in rest if code == "GLOBAL"]
    except (errors.RunError, ValueError):
        later = []
    if any(each.startswith("torch.nn.modules") for each in (name, *later)):
        return (
            f"It is a whole pickled model ({name}), which only its own code "
            f"can open. {advice}"
        )
    return f"The file wants {name}, which is no array. {advice}"
