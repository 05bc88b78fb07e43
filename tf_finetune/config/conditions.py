"""Conditions under which something reads an option, declared beside it."""

from collections.abc import Mapping, Sequence

Conditions = Mapping[str, Sequence[str]]
"""Flags → the values with which an option is read; all flags must have one.

`STAGE` is the one key that is not a flag, `GIVEN` stands for any value that is
not empty, and `NOT_GIVEN` for an empty one. A command without stages reads an
option without conditions; a run of `train` reads one that names no stage where
it trains something.
"""

GIVEN: tuple[str, ...] = ()
"""In place of values: the flag is given at all."""

NOT_GIVEN: tuple[str, ...] = ("",)
"""In place of values: the flag is not given."""

STAGE = "stage"
"""Key of the condition that a run has a stage: one of the three below."""

TRAINING = "training"
"""Stage of every run that trains something, if it is the head alone."""

KEPT_CLASSIFIER = "kept classifier"
"""Stage of a run that keeps its file's classifier and trains nothing."""

FINE_TUNING: Conditions = {STAGE: ("fine-tuning",)}
"""The option is read where weights are trained by gradient steps."""

EVERY_RUN: Conditions = {STAGE: (TRAINING, KEPT_CLASSIFIER)}
"""The option is read where something is trained, and where nothing is."""


def describe(used_by: Conditions) -> str:
    """Formats conditions as a list of flags, "--task=regression, fine-tuning".

    Args:
        used_by: Values by flag; `GIVEN` stands for a flag that is set at all,
            `NOT_GIVEN` for one that is not. Of `STAGE` only `FINE_TUNING` is
            written.

    Returns:
        The text; empty without conditions.
    """
    return ", ".join(
        "fine-tuning" if flag == STAGE else _format_flag(flag, values)
        for flag, values in used_by.items()
        if flag != STAGE or values == FINE_TUNING[STAGE]
    )


def _format_flag(flag: str, values: Sequence[str]) -> str:
    if values == NOT_GIVEN:
        return f"no --{flag}"
    return f"--{flag}" + (f"={'|'.join(values)}" if values else "")
