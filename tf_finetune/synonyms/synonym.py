"""A setting of this package with the names that other packages give it."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Synonym:
    """A flag, with its names in other packages.

    Attributes:
        flag: The flag here; empty: there is none.
        names: Its names in other packages, squashed.
        advice: A sentence that tells how to set it, or what to do instead.
    """

    flag: str
    names: frozenset[str]
    advice: str


def define(flag: str, names: str, advice: str) -> Synonym:
    """Builds a meaning from a text of names with blanks between them."""
    return Synonym(flag, frozenset(map(normalize_name, names.split())), advice)


def normalize_name(name: str) -> str:
    """Removes dashes, underscores, dots and blanks; lowers the case."""
    return re.sub(r"[-_.\s]", "", name).lower()
