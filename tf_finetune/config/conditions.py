"""Conditions under which something reads an option, declared beside it."""

from collections.abc import Mapping, Sequence

Conditions = Mapping[str, Sequence[str]]
"""Flags → the values with which an option is read; all flags must have one.

`STAGE` is the one key that is not a flag, `GIVEN` stands for any value that is
not empty, and `NOT_GIVEN` for an empty one. An option without conditions is
always read.
"""

GIVEN: tuple[str, ...] = ()
"""In place of values: the flag is given at all."""

NOT_GIVEN: tuple[str, ...] = ("",)
"""In place of values: the flag is not given."""

STAGE = "stage"
"""Key of the condition that a run has a stage."""

FINE_TUNING: Conditions = {STAGE: ("fine-tuning",)}
"""The option is read where weights are trained by gradient steps."""


def describe(used_by: Conditions) -> str:
    """Formats conditions as a list of flags, "--task=regression, fine-tuning".

    Args:
        used_by: Values by flag; `GIVEN` stands for a flag that is set at all,
            `NOT_GIVEN` for one that is not.

    Returns:
        The text; empty without conditions.
    """
    return ", ".join(
        "fine-tuning" if flag == STAGE else _format_flag(flag, values)
        for flag, values in used_by.items()
    )


def _format_flag(flag: str, values: Sequence[str]) -> str:
    if values == NOT_GIVEN:
        return f"no --{flag}"
    return f"--{flag}" + (f"={'|'.join(values)}" if values else "")
