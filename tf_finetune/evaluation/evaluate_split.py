"""Evaluation of a split: predictions are compared with labels as they come."""

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune.data import examples
from tf_finetune.metrics import candidate_selection
from tf_finetune.tasks import task as task_contract


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitEvaluation:
    """Result of evaluating a model on a split.

    Attributes:
        figures: Metrics by name; None where a prediction is NaN or infinite.
        evidence: Function that computes per-picture results for comparing two
            models; not to be called where `figures` are None.
        draw: Function that draws notable single pictures into a folder.
        rows: A row of predictions.csv per picture, of the task's row type;
            empty if not asked for.
        kept: Predictions of the pictures whose indices were in the argument
            `keep`, [n, …].
        decision: Values such as label thresholds by name that were used.
    """

    figures: dict[str, Any] | None
    evidence: Callable[[], candidate_selection.Evidence]
    draw: Callable[[pathlib.Path], None]
    rows: tuple[Any, ...]
    kept: np.ndarray
    decision: Mapping[str, Any]


def evaluate_predictions(
    task: task_contract.Task,
    data: examples.ImageData,
    split: str,
    batches: Iterable[np.ndarray],
    *,
    seed: int,
    decision: Mapping[str, Any] | None = None,
    with_rows: bool = False,
    keep: Sequence[int] = (),
) -> SplitEvaluation:
    """Evaluates a model's predictions of a split, batch by batch.

    Args:
        task: The task of the run.
        data: The pictures.
        split: Name of the split that was predicted.
        batches: Predictions [batch, …], in the order of the split.
        seed: Seed of the bootstrap of intervals.
        decision: Values such as thresholds, chosen on validation; None: they
            are chosen on these predictions, if the task has any.
        with_rows: Whether to return a table row for each picture.
        keep: Indices of pictures whose predictions are returned, ascending.

    Returns:
        The evaluation. Predictions that are NaN or infinite raise no error;
        `figures` is then None.
    """
    if decision is None:
        batches, decision = _make_decision(task, data, split, batches)
    # Figures and answers by the same decision, such as thresholds.
    task = task.with_decision(decision)
    found = task.figures.create_evaluator(data, split, seed=seed)
    paths = iter([picture.path for picture in data.split(split)])
    wanted, kept, rows, start, is_finite = set(keep), [], [], 0, True
    for batch in batches:
        is_finite = is_finite and bool(np.isfinite(batch).all())
        kept += [row for i, row in enumerate(batch, start) if i in wanted]
        start += len(batch)
        if not is_finite:
            # Read to the end all the same: `kept` is of all batches.
            continue
        found.add(batch)
        if with_rows:
            # Paths are taken in step with the batches.
            named = list(itertools.islice(paths, len(batch)))
            rows += task.answers.build_rows(named, batch, data.class_names)
    return SplitEvaluation(
        figures=found.figures() if is_finite else None,
        evidence=found.evidence,
        draw=found.draw,
        rows=tuple(rows),
        kept=np.array(kept),
        decision=decision,
    )


def _make_decision(
    task: task_contract.Task,
    data: examples.ImageData,
    split: str,
    batches: Iterable[np.ndarray],
) -> tuple[Iterable[np.ndarray], Mapping[str, Any]]:
    """Makes the task's decision; returns the predictions once more with it."""
    # Only a decision needs all predictions at once; else they are streamed.
    if task.decide is None:
        return batches, {}
    predictions = np.concatenate(list(batches))
    # A diverged model gets no decision; its figures will be None.
    if not np.isfinite(predictions).all():
        return [predictions], {}
    return [predictions], task.decide(data, split, predictions)
