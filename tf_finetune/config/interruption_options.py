"""Options for interruptions: checkpoints, signals, recovery from NaN."""

import dataclasses

from tf_finetune.config import conditions, options, value_checks


@dataclasses.dataclass(frozen=True, kw_only=True)
class InterruptionOptions:
    """Checkpoints of a run, its reaction to signals, recovery from NaN."""

    checkpoint_every_steps: int | None = options.option(
        None,
        "Write a checkpoint after every so many steps of fine-tuning too; "
        "none: after every epoch only. The result is the same.",
        used_by=conditions.FINE_TUNING,
    )
    keep_checkpoints: int = options.option(
        2,
        "Keep this many checkpoints; damaged ones are skipped.",
        used_by=conditions.FINE_TUNING,
    )
    grace_seconds: float = options.option(
        30.0,
        "After SIGTERM, wait at most this long for the step to end and its "
        "checkpoint to be written; Ctrl-C waits until it is pressed again.",
    )
    max_recoveries: int = options.option(
        2,
        "When the loss becomes NaN or infinite, go back to the last checkpoint "
        "and halve the learning rate, at most this many times.",
        used_by=conditions.FINE_TUNING,
    )

    def __post_init__(self) -> None:
        value_checks.require_range(self, "checkpoint_every_steps", at_least=0)
        value_checks.require_range(self, "keep_checkpoints", at_least=1)
        value_checks.require_range(self, "grace_seconds", above=0)
        value_checks.require_range(self, "max_recoveries", at_least=0)
