"""Components by name, imported only when one is used."""

import importlib
from collections.abc import Mapping
from typing import Any

from tf_finetune import errors


class Registry:
    """Maps the names of one kind of component to their definitions.

    A definition is a `"package.module:attribute"` string, so that knowing a
    name costs no import. Users may pass such a string instead of a name.

    Args:
        kind: The kind of component, for messages: "backbone".
        places: Definitions by name.

    Example:
        >>> parts = Registry("shape", {"circle": "math:tau"})
        >>> parts.names()
        ('circle',)
        >>> round(parts.get("circle"), 2)
        6.28
    """

    def __init__(self, kind: str, places: Mapping[str, str]) -> None:
        self.kind = kind
        self._places: dict[str, Any] = dict(places)

    def names(self) -> tuple[str, ...]:
        """Returns every registered name, sorted, without importing any."""
        return tuple(sorted(self._places))

    def __contains__(self, name: str) -> bool:
        # A colon marks a part of the user's own, which `get` imports.
        return name in self._places or ":" in name

    def add(self, name: str, part: Any) -> None:
        """Registers a component of the user's own.

        Args:
            name: Name for flags and the Python API.
            part: The component itself, or its `"package.module:attribute"`.

        Raises:
            UsageError: The name is taken.
        """
        if name in self._places:
            raise errors.UsageError(
                f"The {self.kind} {name!r} exists already; choose another name."
            )
        self._places[name] = part

    def check(self, name: str) -> None:
        """Raises `UsageError` with the nearest names if `name` is unknown.

        A name with a colon passes; `get` imports it and raises if it is
        not there.
        """
        if name not in self:
            raise errors.make_unknown_error(self.kind, name, self._places)

    def get(self, name: str) -> Any:
        """Imports and returns the component called `name`.

        Args:
            name: A registered name, or `"package.module:attribute"`.

        Raises:
            UsageError: There is no such name, module or attribute.
        """
        self.check(name)
        place = self._places.get(name, name)
        # A part that `add` was given itself needs no import.
        return (
            import_part(self.kind, place) if isinstance(place, str) else place
        )


def import_part(kind: str, place: str) -> Any:
    """Imports and returns the object that `"package.module:attribute"` names.

    Importing runs code: pass only text that the user typed, never text out of
    a file.

    Args:
        kind: The kind of component, for messages: "backbone".
        place: The module and the attribute, with a colon between them.

    Raises:
        UsageError: There is no such module or attribute.
    """
    module_name, _, attribute = place.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and not module_name.startswith(error.name):
            raise  # The module exists, something that it imports does not.
        raise errors.UsageError(
            f"No module {module_name!r} for {kind} {place!r}; expected "
            "'package.module:attribute' importable from here."
        ) from error
    if not hasattr(module, attribute):
        raise errors.make_unknown_error(
            f"{kind} in {module_name}", attribute, vars(module)
        )
    return getattr(module, attribute)
