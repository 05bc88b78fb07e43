"""JSON files of a workdir, read and checked against their schemas.

A workdir can be damaged, or made by somebody else: what a file lacks or holds
in place of a number is said in one sentence, wherever it is read.
"""

import abc
import dataclasses
import math
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune import errors, files, terminal_escapes

_NUMBER = re.compile(r"-?[0-9]{1,18}")  # Fits into 64 bits.
_SHOWN = 40  # Characters of a value in a message.
_LONGEST = 100_000
_HINT = "Copy the folder again, or train again."


class Kind(abc.ABC):
    """A kind of JSON value, and the check for it.

    Attributes:
        words: The kind in words for a message: "a whole number".
    """

    words: str

    @abc.abstractmethod
    def find_fault(self, value: Any, place: str) -> str:
        """Returns the fault of a value as a sentence; empty if it fits.

        Args:
            value: Parsed JSON value.
            place: Its path in the file, "model.image_size"; "": the whole.
        """

    def _fault_unless(self, fits: bool, value: Any, place: str) -> str:
        if fits:
            return ""
        return f"{place or 'it'} is {_shorten(value)}, and must be {self.words}"


@dataclasses.dataclass(frozen=True)
class Anything(Kind):
    """Any value; the caller checks it later."""

    words: str = "anything"

    def find_fault(self, value: Any, place: str) -> str:
        """Returns an empty text: every value fits."""
        return ""


@dataclasses.dataclass(frozen=True)
class Text(Kind):
    """A string of at most `longest` characters."""

    longest: int = _LONGEST
    words: str = "a string"

    def find_fault(self, value: Any, place: str) -> str:
        """Returns the fault as a sentence; empty if the value fits."""
        fits = isinstance(value, str) and len(value) <= self.longest
        return self._fault_unless(fits, value, place)


@dataclasses.dataclass(frozen=True)
class Number(Kind):
    """A finite number from `at_least` to `at_most`, both included."""

    at_least: float = -math.inf
    at_most: float = math.inf
    is_whole: bool = False

    @property
    def words(self) -> str:
        """The range in words: "a whole number from 1 to 10", "a number"."""
        name = "a whole number" if self.is_whole else "a number"
        if math.isfinite(self.at_least) and math.isfinite(self.at_most):
            return f"{name} from {self.at_least:,g} to {self.at_most:,g}"
        if math.isfinite(self.at_least):
            return f"{name} of at least {self.at_least:,g}"
        return name

    def find_fault(self, value: Any, place: str) -> str:
        """Returns the fault as a sentence; empty if the value fits."""
        kinds = (int,) if self.is_whole else (int, float)
        fits = (
            type(value) in kinds  # `isinstance` takes True for an int.
            and self.at_least <= value <= self.at_most
            # JSON's whole numbers can be beyond every float.
            and abs(value) < 2**1023
        )
        return self._fault_unless(fits, value, place)


@dataclasses.dataclass(frozen=True)
class OneOf(Kind):
    """One of the strings in `possible`."""

    possible: tuple[str, ...]

    @property
    def words(self) -> str:
        """The possible strings, quoted."""
        return " or ".join(map(repr, self.possible))

    def find_fault(self, value: Any, place: str) -> str:
        """Returns the fault as a sentence; empty if the value fits."""
        fits = isinstance(value, str) and value in self.possible
        return self._fault_unless(fits, value, place)


@dataclasses.dataclass(frozen=True)
class Optional(Kind):
    """A value of the kind `kind`, or null."""

    kind: Kind

    @property
    def words(self) -> str:
        """Description of the allowed values: those of `kind`, or null."""
        return f"{self.kind.words} or null"

    def find_fault(self, value: Any, place: str) -> str:
        """Returns the fault as a sentence; empty if the value fits."""
        return "" if value is None else self.kind.find_fault(value, place)


@dataclasses.dataclass(frozen=True)
class Items(Kind):
    """A list of `at_least` to `at_most` values of the kind `kind`."""

    kind: Kind
    at_least: int = 0
    at_most: int = 10_000_000

    @property
    def words(self) -> str:
        """The list in words, such as "a list of at least 2 items"."""
        noun = "item" if self.at_least == 1 else "items"
        if self.at_least == self.at_most:
            return f"a list of {self.at_least} {noun}"
        some = f" of at least {self.at_least} {noun}" if self.at_least else ""
        return f"a list{some}"

    def find_fault(self, value: Any, place: str) -> str:
        """Returns the fault as a sentence; empty if the value fits."""
        is_list = isinstance(value, list)
        if not (is_list and self.at_least <= len(value) <= self.at_most):
            return self._fault_unless(False, value, place)
        for number, each in enumerate(value):
            if found := self.kind.find_fault(each, f"{place}[{number}]"):
                return found
        return ""


@dataclasses.dataclass(frozen=True)
class Table(Kind):
    """An object with any keys, all of its values of one kind.

    Attributes:
        kind: Kind of the values.
        is_numbered: Whether the keys must be whole numbers.
    """

    kind: Kind
    is_numbered: bool = False
    words: str = "an object of names and values"

    def find_fault(self, value: Any, place: str) -> str:
        """Returns the fault as a sentence; empty if the value fits."""
        if not isinstance(value, dict):
            return self._fault_unless(False, value, place)
        for name, each in value.items():
            if self.is_numbered and not _NUMBER.fullmatch(name):
                return (
                    f"{place} has the name {_shorten(name)}, and must have "
                    "whole numbers for names"
                )
            inner = f"{place}[{_shorten(name)}]"
            if found := self.kind.find_fault(each, inner):
                return found
        return ""


@dataclasses.dataclass(frozen=True)
class Record(Kind):
    """An object with known keys; other keys are ignored.

    Attributes:
        needed: Kinds of the values by key, for keys that must be there.
        possible: The same for keys that may be absent.
    """

    needed: Mapping[str, Kind] = dataclasses.field(default_factory=dict)
    possible: Mapping[str, Kind] = dataclasses.field(default_factory=dict)

    @property
    def words(self) -> str:
        """An object and the keys that it must have, in words."""
        names = ", ".join(map(repr, self.needed))
        return f"an object with {names}" if names else "an object"

    def find_fault(self, value: Any, place: str) -> str:
        """Returns the fault as a sentence; empty if the value fits."""
        if not isinstance(value, dict):
            return self._fault_unless(False, value, place)
        for name, kind in {**self.needed, **self.possible}.items():
            inner = f"{place}.{name}" if place else name
            if name in value:
                found = kind.find_fault(value[name], inner)
            else:
                found = name in self.needed and (
                    f"{inner} is missing, and must be {kind.words}"
                )
            if found:
                return found
        return ""


def describe_any(names: Sequence[str]) -> Record:
    """Returns a schema that every JSON object fits; `names` are ignored."""
    del names
    return Record()


def _shorten(value: Any) -> str:
    """Returns a value in a few printable characters."""
    if isinstance(value, (dict, list)):
        word = "an object" if isinstance(value, dict) else "a list"
        return f"{word} of {len(value):,}"
    # Python refuses to print whole numbers of more than 4300 digits.
    if type(value) is int and abs(value) >= 10**_SHOWN:
        return f"a number of more than {_SHOWN} digits"
    text = repr(value[: _SHOWN + 1] if isinstance(value, str) else value)
    text = terminal_escapes.escape(text)
    return text if len(text) <= _SHOWN + 2 else text[:_SHOWN] + "…"


def read_json(
    path: pathlib.Path,
    kind: Kind,
    *,
    within: pathlib.Path | None = None,
    limit: int,
    hint: str = _HINT,
) -> Any:
    """Reads a JSON file, checks it against a schema and returns its value.

    Args:
        path: The file.
        kind: The schema.
        within: The folder that it must lie in, links followed; None: any.
        limit: Largest allowed size in bytes.
        hint: End of the message: advice on a file with a fault.

    Raises:
        FileNotFoundError, NotADirectoryError: It is not there.
        RunError: It lies elsewhere, is larger or no regular file, cannot be
            read, is no JSON or does not fit the schema.
    """
    name = terminal_escapes.escape(str(path))
    try:
        found = files.read_json(path, limit=limit, within=within)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except files.UnfitFileError as error:
        raise errors.RunError(
            f"{terminal_escapes.escape(str(error))} {hint}"
        ) from error
    except OSError as error:
        raise errors.RunError(
            f"{name} cannot be read: {error.strerror or error}. {hint}"
        ) from error
    except (ValueError, MemoryError) as error:
        reason = str(error) or "it does not fit into memory"
        raise errors.RunError(
            f"{name} is not JSON that this package wrote "
            f"({terminal_escapes.escape(reason)}); it was changed or damaged. "
            f"{hint}"
        ) from error
    check_value(found, kind, path, hint=hint)
    return found


def check_value(
    value: Any, kind: Kind, path: pathlib.Path, *, hint: str = _HINT
) -> None:
    """Raises `RunError` unless a value read from `path` fits a schema."""
    if found := kind.find_fault(value, ""):
        raise errors.RunError(
            f"{terminal_escapes.escape(str(path))}: {found}. It was changed or "
            f"damaged. {hint}"
        )
