"""Interface of the objectives for unlabeled pictures."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tf_finetune.data import pool as pools
from tf_finetune.runs import course as courses
from tf_finetune.runs import learning


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """Inputs of an objective.

    Attributes:
        course: The run, its model with the pretrained weights and a random
            head, its checkpoints in a folder of their own.
        pool: The unlabeled pictures, whose features are all in the cache.
        supervised: The result of the labeled pictures alone.
        held: Keeps cache entries from being evicted until the run ends.
    """

    course: courses.Course
    pool: pools.Pool
    supervised: learning.Candidate
    held: contextlib.ExitStack


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of an objective.

    Attributes:
        candidate: The trained model.
        table: The history of its epochs.
        facts: Its entry in evaluation.json.
        text: The same in a line or two.
    """

    candidate: learning.Candidate
    table: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]
    text: str


Learn = Callable[[Given], Outcome | None]
"""An objective: returns None where there is nothing to learn, and logs it."""
