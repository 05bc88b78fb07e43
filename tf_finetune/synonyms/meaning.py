"""What a group of names of other packages stands for here."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What a group of names stands for.

    Attributes:
        flag: The flag here; empty: there is none.
        names: What others call it, squashed.
        advice: A sentence that says what to write, or how it is done instead.
    """

    flag: str
    names: frozenset[str]
    advice: str


def of(flag: str, names: str, advice: str) -> Meaning:
    """Returns a meaning of names that blanks divide."""
    return Meaning(flag, frozenset(map(squash, names.split())), advice)


def squash(name: str) -> str:
    """Returns a name in lower case, without dashes and underscores."""
    return re.sub(r"[-_.\s]", "", name).lower()
