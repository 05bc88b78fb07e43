"""Names of classes: their order, and which names can be used."""

import re
from collections.abc import Iterable

from tf_finetune import errors

# Of numbers that Python converts at once; longer ones are names.
_INTEGER = re.compile(r"-?[0-9]{1,4000}")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NO_NUMBERS = ("nan", "inf", "-inf", "infinity", "-infinity")


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Returns distinct names in the order of the model's outputs.

    Args:
        names: Class names, repetitions allowed.

    Returns:
        By value where every name is a whole number ("2" before "10"), else
        in lexicographic order.
    """
    distinct = set(names)
    if all(_INTEGER.fullmatch(name) for name in distinct):
        return tuple(sorted(distinct, key=lambda name: (int(name), name)))
    return tuple(sorted(distinct))


def check(names: Iterable[str]) -> None:
    """Makes sure that class names can be written one a line as UTF-8.

    Raises:
        DataError: A name holds a line break or bytes that are no UTF-8; or
            it is NaN or infinite among numbers, a label that is missing.
    """
    names = tuple(names)
    _check_numbers(names)
    for name in names:
        if name.splitlines() != [name]:
            raise errors.DataError(
                f"The class name {name!r} is empty or holds a line break; "
                "rename the class."
            )
        try:
            name.encode("utf-8")
        except UnicodeEncodeError as error:
            raise errors.DataError(
                f"The class name {name!r} is not valid UTF-8; rename the "
                "class, or save the CSV file as UTF-8."
            ) from error


def _check_numbers(names: tuple[str, ...]) -> None:
    odd = [name for name in names if name.lower() in _NO_NUMBERS]
    others = [name for name in names if name not in odd]
    # "nan" is a class like any other among words.
    if odd and others and all(_NUMBER.fullmatch(name) for name in others):
        raise errors.DataError(
            f"The label {odd[0]!r} stands among numbers such as "
            f"{others[0]!r}: a value is missing there. Fill it in or remove "
            "its rows."
        )
