"""Predictions of a split, compared with its labels as they are computed."""

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune.data import examples
from tf_finetune.evaluation import choices
from tf_finetune.tasks import task as tasks


class Collected:
    """A judge for tasks whose predictions fit into memory."""

    def __init__(
        self,
        evaluate: Callable[[np.ndarray], dict[str, Any]],
        compare: Callable[[np.ndarray], choices.Evidence],
    ) -> None:
        """Keeps what is added.

        Args:
            evaluate: All predictions [n, …] → figures.
            compare: All predictions → what is compared with those of another
                model.
        """
        self._evaluate = evaluate
        self._compare = compare
        self._added: list[np.ndarray] = []

    def add(self, predictions: np.ndarray) -> None:
        """Takes the predictions of the next pictures."""
        self._added.append(predictions)

    def figures(self) -> dict[str, Any]:
        """Returns the figures of all that was added."""
        return self._evaluate(np.concatenate(self._added))

    def evidence(self) -> choices.Evidence:
        """Returns what tells two models on the same pictures apart."""
        return self._compare(np.concatenate(self._added))

    def draw(self, folder: pathlib.Path) -> None:
        """Draws nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """What a model's predictions of a split came to.

    Attributes:
        figures: Of the task; None where a prediction is no finite number.
        evidence: Returns what tells this model from another one on the same
            pictures; not to be called where `figures` are None.
        draw: Draws single pictures that are worth seeing into a folder.
        rows: What is said of each picture; empty if that was not asked for.
        kept: Predictions of the pictures that were asked for, [n, …].
        decision: What they were judged with; see `Task.decide`.
    """

    figures: dict[str, Any] | None
    evidence: Callable[[], choices.Evidence]
    draw: Callable[[pathlib.Path], None]
    rows: tuple[Any, ...]
    kept: np.ndarray
    decision: Mapping[str, Any]


def judge(
    task: tasks.Task,
    data: examples.ImageData,
    split: str,
    batches: Iterable[np.ndarray],
    *,
    seed: int,
    decision: Mapping[str, Any] | None = None,
    with_rows: bool = False,
    keep: Sequence[int] = (),
) -> Judged:
    """Compares a model's predictions of a split with its labels.

    Args:
        task: What is learnt.
        data: The pictures.
        split: Which of them.
        batches: Predictions in their order, [batch, …] each.
        seed: Of the random draws of intervals.
        decision: What was decided on validation; None: it is decided on these
            predictions.
        with_rows: Whether there is a row for each picture.
        keep: Numbers of pictures whose predictions are wanted, rising.
    """
    if decision is None:
        batches, decision = _decided(task, data, split, batches)
    task = task.decided(decision)
    found = task.figures.judge(data, split, seed=seed)
    paths = iter([picture.path for picture in data.split(split)])
    wanted, kept, rows, start, is_finite = set(keep), [], [], 0, True
    for batch in batches:
        is_finite = is_finite and bool(np.isfinite(batch).all())
        kept += [row for i, row in enumerate(batch, start) if i in wanted]
        start += len(batch)
        if not is_finite:
            continue
        found.add(batch)
        if with_rows:
            named = list(itertools.islice(paths, len(batch)))
            rows += task.answers.of(named, batch, data.class_names)
    return Judged(
        figures=found.figures() if is_finite else None,
        evidence=found.evidence,
        draw=found.draw,
        rows=tuple(rows),
        kept=np.array(kept),
        decision=decision,
    )


def _decided(
    task: tasks.Task,
    data: examples.ImageData,
    split: str,
    batches: Iterable[np.ndarray],
) -> tuple[Iterable[np.ndarray], Mapping[str, Any]]:
    """Returns the predictions again, and what they have the task decide."""
    if task.decide is None:
        return batches, {}
    predictions = np.concatenate(list(batches))
    if not np.isfinite(predictions).all():
        return [predictions], {}
    return [predictions], task.decide(data, split, predictions)
