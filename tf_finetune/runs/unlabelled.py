"""Semi-supervised learning beside the supervised run.

The supervised run is the baseline: both are evaluated on the same validation
pictures, and the better one is kept.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors, files, schema, workdir
from tf_finetune.data import changes, unlabelled
from tf_finetune.data import pool as pools
from tf_finetune.evaluation import choices
from tf_finetune.runs import course as courses
from tf_finetune.runs import first_look, learning
from tf_finetune.runs.objectives import objective as objectives
from tf_finetune.training.unlabelled import catalog


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a run.

    Attributes:
        learned: The result on labeled pictures alone; with the whole history.
        chosen: The candidate that is kept.
        beside: By name, the candidates, evaluated on every split; empty in a
            run on labeled pictures alone.
        facts: The entry of evaluation.json about unlabeled pictures.
    """

    learnt: learning.Learnt
    chosen: learning.Candidate
    beside: Mapping[str, learning.Candidate] = dataclasses.field(
        default_factory=dict
    )
    facts: Mapping[str, Any] | None = None


def learn(
    course: courses.Course,
    held: contextlib.ExitStack,
    *,
    report: Callable[[str], None],
) -> Result:
    """Learns from the labeled pictures, then from the unlabeled ones too.

    Args:
        course: The run.
        held: Keeps cache entries from being evicted until it is closed.
        report: Called with each text for the user.
    """
    name = course.config.unlabelled.chosen
    if name == catalog.SUPERVISED:
        learnt = learning.learn(course)
        return Result(learnt=learnt, chosen=learning.choose(course, learnt))
    pool = _pool(course)
    report(pool.text())
    # Its checkpoints and history must not overwrite the supervised run's.
    apart = _apart(course, name)
    note_pool(course.place, pool, course.config.unlabelled.unlabeled_data)
    # The objective starts where the supervised run has started.
    pretrained = course.built.model.get_weights()
    learnt = learning.learn(course)
    supervised = learning.choose(course, learnt)
    course.built.model.set_weights(pretrained)
    given = objectives.Given(
        course=apart, pool=pool, supervised=supervised, held=held
    )
    # Raises if a file of the pool changes while it is learned from.
    with changes.watched(pool.pictures):
        course.cache.complete(pool.pictures, with_rows=False)
        outcome = catalog.OBJECTIVES.get(name)(given)
    facts = {"objective": name, "pool": pool.describe()}
    if outcome is None:
        course.built.model.set_weights(list(supervised.weights))
        return Result(learnt=learnt, chosen=supervised, facts=facts)
    report(f"{name}: {outcome.text}")
    return _better(
        course,
        Result(learnt=learnt, chosen=supervised, facts=facts),
        outcome,
        report,
    )


def _pool(course: courses.Course) -> pools.Pool:
    options = course.config.unlabelled
    found = pools.collect(
        unlabelled.find(options.unlabeled_data, flag="unlabeled_data"),
        course.data.pictures,
        max_pixels=course.config.data.max_pixels,
    )
    # Decoded once, with the features of the head on the way.
    problems = first_look.problems(
        found.pictures,
        course.config,
        course.networks,
        course.cache,
        batch_size=course.config.training.batch_size,
    )
    found = found.without(problems)
    if not found.pictures:
        raise errors.DataError(
            f"--unlabeled_data={options.unlabeled_data} holds no picture to "
            f"learn from: {found.text()}"
        )
    return found


def note_pool(
    place: workdir.Workdir, pool: pools.Pool, unlabeled_data: str
) -> None:
    """Records the fingerprint of the unlabeled pictures of a run.

    Args:
        place: Of the run.
        pool: The pictures.
        unlabeled_data: Where they were found.

    Raises:
        DataError: An unfinished run had begun with others.
    """
    now = {"fingerprint": pool.fingerprint}
    kind = schema.Record({"fingerprint": schema.Text(longest=1000)})
    try:
        before = place.content(place.pool, kind, megabytes=1)
    except FileNotFoundError:
        before = now
    if before["fingerprint"] != now["fingerprint"]:
        raise errors.DataError(
            f"The pictures of --unlabeled_data={unlabeled_data} have changed "
            f"since the unfinished run in --workdir={place.path} began. "
            "Start it anew with --overwrite."
        )
    files.write_json(place.pool, now)


def _apart(course: courses.Course, name: str) -> courses.Course:
    """Returns the run with a folder of its own for checkpoints and history."""
    places = {
        each: place.apart(name)
        for each, place in (("place", course.place), ("shared", course.shared))
    }
    for place in places.values():
        place.checkpoints.mkdir(parents=True, exist_ok=True)
    return dataclasses.replace(course, **places)


def _better(
    course: courses.Course,
    result: Result,
    outcome: objectives.Outcome,
    report: Callable[[str], None],
) -> Result:
    """Chooses between supervised and semi-supervised on validation."""
    name = result.facts["objective"]
    other = outcome.candidate
    other = dataclasses.replace(
        other,
        name=f"{name}_{other.name}",
        # Its training split holds pseudo-labels; figures on it mean nothing.
        judged={s: j for s, j in other.judged.items() if s != "train"},
    )
    beside = {
        catalog.SUPERVISED: _judged(course, result.chosen),
        name: _judged(course, other),
    }
    judged = {n: each.judged["validation"] for n, each in beside.items()}
    # The supervised candidate wins where the other has no finite figures.
    chosen, is_other = beside[catalog.SUPERVISED], False
    if judged[name].figures is None:
        logging.warning(
            "%s gives predictions that are not finite; kept: %s",
            name,
            catalog.SUPERVISED,
        )
        beside = {}
    else:
        kept = choices.choose(
            {n: each.evidence() for n, each in judged.items()},
            seed=course.config.seed,
        )
        brief = course.task.figures.brief
        said = {n: brief(each.figures) for n, each in judged.items()}
        report(learning.told(said, kept))
        chosen, is_other = beside[kept.name], kept.name == name
    course.built.model.set_weights(list(chosen.weights))
    table = [*result.learnt.table, *_rows(name, outcome.table)]
    return Result(
        learnt=dataclasses.replace(result.learnt, table=table),
        chosen=chosen,
        beside=beside,
        facts={**result.facts, **outcome.facts, "kept": is_other},
    )


def _judged(
    course: courses.Course, candidate: learning.Candidate
) -> learning.Candidate:
    """Evaluates a candidate on the splits that it lacks."""
    judged = dict(candidate.judged)
    missing = [s for s in course.data.splits if s not in judged]
    # Predicting takes the candidate's own weights in the model.
    if missing:
        course.built.model.set_weights(list(candidate.weights))
    for split in missing:
        judged[split] = course.judge(
            split, course.predict(split), candidate.decision
        )
    return dataclasses.replace(candidate, judged=judged)


def _rows(name: str, table: Sequence[Mapping[str, Any]]) -> list[dict]:
    return [{**row, "stage": name} for row in table]
