"""Names of classes: their order, and which names can be used."""

import re
from collections.abc import Iterable

from tf_finetune import errors

_INTEGER = re.compile(r"-?[0-9]+")


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
        DataError: A name holds a line break or bytes that are no UTF-8.
    """
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
