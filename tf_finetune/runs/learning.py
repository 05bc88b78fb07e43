"""The two training stages of a run, and the choice of the better model."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
from absl import logging

from tf_finetune import inference
from tf_finetune.cache import store as stores
from tf_finetune.evaluation import choices
from tf_finetune.runs import caching, frozen, reattaching, solving
from tf_finetune.runs import course as courses
from tf_finetune.runs import crossing as crossings
from tf_finetune.tasks import judging
from tf_finetune.training import fine_tuning, head, history
from tf_finetune.training.distributed import replicas, workers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that may become the result.

    Attributes:
        name: "probe" (the pretrained backbone under the solved head) or
            "fine_tune".
        weights: Of the whole model.
        judged: The evaluation of each split that it has predicted.
    """

    name: str
    weights: Sequence[np.ndarray]
    judged: Mapping[str, judging.Judged]

    @property
    def decision(self) -> Mapping[str, Any]:
        """The task's decision on validation, such as thresholds."""
        return self.judged["validation"].decision


@dataclasses.dataclass(frozen=True, kw_only=True)
class Learnt:
    """The result of both stages.

    Attributes:
        probe: The solved head, a baseline of every run.
        tuned: None where only the head is trained.
        table: The history of the epochs.
        cache: "on" if fine-tuning read the cache, else "off"; None where
            there was no fine-tuning.
    """

    probe: Candidate
    tuned: Candidate | None
    table: list[dict]
    cache: Literal["on", "off"] | None = None


def learn(course: courses.Course) -> Learnt:
    """Solves the head on cached features, then fine-tunes."""
    learnt = _learn(course)
    workers.wait(course.strategy)
    return learnt


def _learn(course: courses.Course) -> Learnt:
    cache = course.cache
    # Before the head is solved, for --head_init=random.
    fresh_head = course.built.head.get_weights()
    crossing = None
    # The chief fills the cache and decides; then the others read both.
    with workers.chief_first(course.strategy):
        if not course.is_chief:
            cache.reopen()
        choice = caching.choose(course)
        cache.complete(course.data.pictures, with_rows=choice.reads_cache)
        probe = _probe(course, frozen.by_split(cache.features, course.data))
        if course.fine_tunes and choice.reads_cache:
            crossing = crossings.cross(course)
    if not course.fine_tunes:
        return Learnt(probe=probe, tuned=None, table=[])
    # Kumar et al. 2022, section 3.4 (LP-FT): by default fine-tuning starts
    # from the solved head, whose gradients do not distort the features.
    if course.config.training.head_init == "random":
        course.built.head.set_weights(fresh_head)
    table = _fine_tune(course, crossing, choice.trainer)
    if crossing:
        judged = _judged(
            course, crossing.rows, lambda s: crossing.logits(course, s)
        )
    else:
        found = course.predict("validation")
        judged = {"validation": course.judge("validation", found)}
    # Copies: the model's weights change again before the choice.
    tuned = Candidate(
        name="fine_tune",
        weights=course.built.model.get_weights(),
        judged=judged,
    )
    return Learnt(
        probe=probe,
        tuned=tuned,
        table=table,
        cache="on" if crossing else "off",
    )


def choose(course: courses.Course, learnt: Learnt) -> Candidate:
    """Gives the model the better weights on validation and returns them.

    Fine-tuning is kept where it is better than the probe beyond chance, or,
    within chance, by its mean loss (`choices`).
    """
    if learnt.tuned is None:
        return learnt.probe
    # Predictions that are not finite have no figures.
    chosen = learnt.probe
    if learnt.tuned.judged["validation"].figures is not None:
        chosen = _better(course, (learnt.probe, learnt.tuned))
    else:
        logging.warning(
            "fine-tuning diverged: the model gives no finite predictions. The "
            "probe is kept; try a lower --learning_rate."
        )
    course.built.model.set_weights(list(chosen.weights))
    return chosen


def _better(
    course: courses.Course, candidates: Sequence[Candidate]
) -> Candidate:
    by_name = {each.name: each for each in candidates}
    judged = {name: e.judged["validation"] for name, e in by_name.items()}
    kept = choices.choose(
        {name: each.evidence() for name, each in judged.items()},
        seed=course.config.seed,
    )
    brief = course.task.figures.brief
    logging.info(
        "%s", told({n: brief(e.figures) for n, e in judged.items()}, kept)
    )
    return by_name[kept.name]


def told(said: Mapping[str, str], kept: choices.Kept) -> str:
    """Returns a choice on validation in one line.

    Args:
        said: The figures of each candidate, in a few words.
        kept: The chosen one, and why.
    """
    results = ", ".join(f"{name} {text}" for name, text in said.items())
    return f"on validation: {results}; kept: {kept.name} ({kept.reason})"


def _probe(
    course: courses.Course, features: Mapping[str, stores.Rows]
) -> Candidate:
    solution = solving.solution(course, features["train"])
    head.install(course.built.head, solution)
    # The head alone: its inputs are in the cache.
    solved = inference.step(course.built.head)
    judged = _judged(
        course, features, lambda s: _of_head(course, solved, features[s])
    )
    return Candidate(
        name="probe",
        weights=course.built.model.get_weights(),
        judged=judged,
    )


def _of_head(
    course: courses.Course, solved: inference.Step, rows: stores.Rows
) -> Iterator[np.ndarray]:
    tensors = course.built.features.tensors
    for block in rows.blocks():
        yield np.asarray(inference.called(solved, tensors(block)))


def _judged(
    course: courses.Course,
    splits: Iterable[str],
    logits_of: Callable[[str], Iterator[np.ndarray]],
) -> dict[str, judging.Judged]:
    """Evaluates splits from cached rows, validation first.

    On its first pictures the whole model is compared with the cached path;
    and the task's decision on it, such as thresholds, holds for the others.
    """
    finish = course.task.network.finish
    # The first batch is compared with the whole model, then put back.
    logits = logits_of("validation")
    first = next(logits)
    reattaching.check(course, first)
    logits = itertools.chain([first], logits)
    validation = course.judge("validation", map(finish, logits))
    others = {
        split: course.judge(
            split, map(finish, logits_of(split)), validation.decision
        )
        for split in splits
        if split != "validation"
    }
    return {"validation": validation, **others}


def _fine_tune(
    course: courses.Course,
    crossing: crossings.Crossing | None,
    trainer: keras.Model | None,
) -> list[dict]:
    # On cached rows only the part above the freeze boundary is trained; it
    # shares its layers with the whole model.
    if crossing is None:
        trainer = courses.compiled(course)
    elif trainer is None:
        trainer = courses.compiled(course, course.networks.cut)
    feed = _feed(course, crossing)
    with course.strategy.scope(), courses.in_precision(course):
        outcome = fine_tuning.run(
            trainer,
            feed,
            task=course.task,
            config=course.config,
            # Checkpoints of the chief are read by all workers.
            place=course.shared,
            writes=course.is_chief,
            report=lambda rows: history.write(
                course.place.history, history.rows("fine_tune", rows)
            ),
        )
    return history.rows("fine_tune", outcome.rows)


def _feed(
    course: courses.Course, crossing: crossings.Crossing | None
) -> fine_tuning.Feed:
    part = replicas.part_of(course.strategy)
    targets = {s: course.targets(s) for s in ("train", "validation")}
    if crossing is None:
        return fine_tuning.from_pictures(
            course.data,
            targets,
            course.config,
            image_size=course.image_size,
            part=part,
        )
    # All views of training pictures; validation is never augmented.
    rows = {"train": crossing.views, "validation": crossing.rows["validation"]}
    return fine_tuning.from_rows(
        rows,
        course.networks.cut.tensors,
        course.data,
        targets,
        course.config,
        part=part,
    )
