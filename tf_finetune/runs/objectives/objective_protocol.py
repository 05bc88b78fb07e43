"""Interface of the objectives for unlabeled pictures."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tf_finetune.data import unlabeled_files
from tf_finetune.runs import candidates
from tf_finetune.runs import context as contexts


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectiveInputs:
    """Inputs of an objective, a method that trains on unlabeled pictures.

    Attributes:
        context: The run; its model has the pretrained weights and a random
            head, its checkpoints lie in a folder of their own.
        pool: The unlabeled pictures, whose features are all in the cache.
        supervised: The kept candidate of training on labeled pictures alone.
        exit_stack: Keeps cache entries from being evicted until the run ends.
    """

    context: contexts.RunContext
    pool: unlabeled_files.Pool
    supervised: candidates.Candidate
    exit_stack: contextlib.ExitStack


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectiveResult:
    """Candidate that an objective has trained, with its history.

    Attributes:
        candidate: The trained model, evaluated on validation at least.
        table: Metrics of its epochs, one dict an epoch as in
            `history.make_rows`.
        facts: Its entries in evaluation.json under "unlabeled".
        text: The same in a line or two, for the log.
    """

    candidate: candidates.Candidate
    table: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]
    text: str


Objective = Callable[[ObjectiveInputs], ObjectiveResult | None]
"""An objective: returns None where there is nothing to learn, and logs it."""


def learn_nothing(given: ObjectiveInputs) -> None:
    """Returns None: the objective of a run on labeled pictures alone."""
    del given
