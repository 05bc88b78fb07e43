"""Pictures without labels, learnt as what they are most surely taken for.

What goes into the head is in the cache, so a guess costs milliseconds; then
both stages run again on the labelled pictures and on those with a guess.

Source: Lee 2013, "Pseudo-Label"; Iscen et al. 2019, "Label Propagation for
Deep Semi-supervised Learning", section 4.
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from tf_finetune.data import examples
from tf_finetune.runs import course as courses
from tf_finetune.runs import learning
from tf_finetune.runs.objectives import objective
from tf_finetune.training.unlabelled import propagation, trust


def learn(given: objective.Given) -> objective.Outcome | None:
    """Guesses labels, measures how often they are right, and learns them."""
    course = given.course
    guesser = _Guesser(course, given.pool.pictures)
    labels = guesser.labels()
    guessed = tuple(
        dataclasses.replace(picture, label=label, split="train")
        for picture, label in zip(given.pool.pictures, labels, strict=True)
        if label is not None
    )
    if not guessed:
        logging.warning("no picture without a label is sure enough to learn")
        return None
    measured = guesser.trust()
    data = dataclasses.replace(
        course.data, pictures=(*course.data.pictures, *guessed)
    )
    changed = dataclasses.replace(course, data=data)
    learnt = learning.learn(changed)
    return objective.Outcome(
        candidate=learning.choose(changed, learnt),
        table=learnt.table,
        facts=_facts(course, guessed, measured),
        text=_text(guessed, given, measured),
    )


class _Guesser:
    """Labels spread over features from the cache."""

    def __init__(
        self, course: courses.Course, pool: Sequence[examples.Picture]
    ) -> None:
        self._course = course
        self._guesses = course.task.guesses
        self._train = course.data.split("train")
        store = course.cache.features
        self._known = store.rows([each.sha256 for each in self._train]).all()
        self._pool = store.rows([each.sha256 for each in pool]).all()
        self._rows = self._guesses.rows(
            [each.label for each in self._train], course.data.class_names
        )

    def labels(self) -> Sequence[examples.Label | None]:
        """Returns a guess for each picture of the pool, or None."""
        return self._guess(self._known, self._rows, self._pool)

    def trust(self) -> trust.Trust:
        """Guesses the labelled pictures among the pool and compares."""
        names = self._course.data.class_names

        def guess(known: np.ndarray, asked: np.ndarray) -> Sequence[object]:
            others = np.concatenate([self._known[asked], self._pool])
            found = self._guess(self._known[known], self._rows[known], others)
            return found[: len(asked)]

        return trust.cross_validated(
            self._rows,
            guess,
            groups=[each.group or each.sha256 for each in self._train],
            compare=lambda label, row: self._guesses.compare(label, row, names),
            seed=self._course.config.seed,
        )

    def _guess(
        self, known: np.ndarray, rows: np.ndarray, others: np.ndarray
    ) -> Sequence[examples.Label | None]:
        scores = propagation.propagate(
            known, rows, others, exclusive=self._guesses.exclusive
        )
        return self._guesses.labels(
            scores,
            rows,
            self._course.data.class_names,
            share=self._course.config.unlabelled.pseudo_label_share,
        )


def _facts(
    course: courses.Course,
    guessed: Sequence[examples.Picture],
    measured: trust.Trust,
) -> dict[str, Any]:
    counts = collections.Counter(
        course.task.labels.text(picture.label) for picture in guessed
    )
    return {
        "learnt": len(guessed),
        "labels": dict(sorted(counts.items())),
        "precision": measured.precision,
        "precision_of": dataclasses.asdict(measured),
    }


def _text(
    guessed: Sequence[examples.Picture],
    given: objective.Given,
    measured: trust.Trust,
) -> str:
    text = f"{len(guessed)} of {len(given.pool.pictures)} pictures learnt"
    if measured.precision is None:
        return f"{text}; too few labelled ones to measure the precision"
    return (
        f"{text}; of labelled pictures guessed in the same way "
        f"{measured.right} of {measured.guessed} guesses are right (precision "
        f"{measured.precision:.3f})"
    )
