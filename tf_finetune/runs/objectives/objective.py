"""What an objective for pictures without labels gets, and what it returns."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tf_finetune.data import pool as pools
from tf_finetune.runs import course as courses
from tf_finetune.runs import learning


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """What an objective starts from.

    Attributes:
        course: The run, its model with the pretrained weights and a random
            head, its checkpoints in a folder of their own.
        pool: The pictures without labels; what goes into the head is in the
            cache for all of them.
        supervised: What the labelled pictures alone came to.
        held: Keeps what is opened in the cache safe until the run ends.
    """

    course: courses.Course
    pool: pools.Pool
    supervised: learning.Candidate
    held: contextlib.ExitStack


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an objective came to.

    Attributes:
        candidate: The model that came out.
        table: The history of its epochs.
        facts: What is worth knowing, ready for JSON.
        text: The same in a line or two.
    """

    candidate: learning.Candidate
    table: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]
    text: str


Learn = Callable[[Given], Outcome | None]
"""Learns; None where there is nothing to learn, which is logged."""
