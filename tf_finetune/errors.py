"""Errors with a message for the user, each with an exit status."""

import difflib
import re
from collections.abc import Iterable

from tf_finetune.synonyms import value_synonyms


class UsageError(ValueError):
    """A flag, config or argument is wrong; programs exit with status 2."""


class DataError(ValueError):
    """The user's pictures, labels or splits cannot be used; exit status 2."""


class RunError(RuntimeError):
    """A run could not go on (files, weights, network); exit status 1."""


class DivergenceError(RunError):
    """Training diverged: a loss became NaN or infinite too often."""


class GateError(RuntimeError):
    """A finished run missed a condition set on its result; exit status 3."""


def make_unknown_error(
    kind: str, name: str, known: Iterable[str]
) -> UsageError:
    """Returns, without raising it, the error for a name that is not known.

    Args:
        kind: The kind of name, as the message has it: "backbone", "flag".
        name: The unknown name.
        known: Every name that would have been accepted.

    Returns:
        An error that suggests the nearest known names or lists all of them.
    """
    known = sorted(known)
    if advice := _find_advice(kind, name, known):
        return UsageError(f"Unknown {kind} {name!r}. {advice}")
    # A cutoff of 0.6 is difflib's own: 'resnt50' finds 'resnet50'.
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        hint = "Did you mean " + " or ".join(repr(each) for each in near) + "?"
    else:
        hint = f"Known: {', '.join(known)}."
    return UsageError(f"Unknown {kind} {name!r}. {hint}")


def _find_advice(kind: str, name: str, known: list[str]) -> str | None:
    """Returns a hint for a name of another package or another spelling."""
    same = [
        e
        for e in known
        if value_synonyms.normalize_name(e)
        == value_synonyms.normalize_name(name)
    ]
    if same and name:
        return f"Did you mean {same[0]!r}?"
    # A kind may name a task: "--loss of --task=…".
    flag = kind.removeprefix("--").partition(" of ")[0]
    advice = value_synonyms.find_advice(flag, name)
    named = re.findall(r"--\w+=([\w+]+)", advice or "")
    # A hint must name a value that this task or network knows.
    return advice if {*named[:1]} <= {*known} else None
