"""A run beside the supervised one that also learns from unlabeled pictures.

The supervised run is the yardstick: both are judged on the same validation
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
    """What a run came to.

    Attributes:
        learnt: Of the labelled pictures alone; with the history of all.
        chosen: What is kept.
        beside: By name, all that was chosen from, judged on every split;
            empty where nothing but the labelled pictures was learnt from.
        facts: What evaluation.json says of the pictures without labels.
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
    """Learns from the labelled pictures, then with the others too.

    Args:
        course: The run.
        held: Keeps what is read from the cache safe until it is closed.
        report: Called with what a person should read.
    """
    name = course.config.unlabelled.chosen
    if name == catalog.SUPERVISED:
        learnt = learning.learn(course)
        return Result(learnt=learnt, chosen=learning.choose(course, learnt))
    pool = _pool(course)
    report(pool.text())
    apart = _apart(course, name)
    note_pool(course.place, pool, course.config.unlabelled.unlabeled_data)
    pretrained = course.built.model.get_weights()
    learnt = learning.learn(course)
    supervised = learning.choose(course, learnt)
    course.built.model.set_weights(pretrained)
    given = objectives.Given(
        course=apart, pool=pool, supervised=supervised, held=held
    )
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
    """Writes which pictures without labels the run learns from.

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
    """Returns the run with checkpoints and history of its own."""
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
    """Keeps the better one on validation."""
    name = result.facts["objective"]
    other = outcome.candidate
    other = dataclasses.replace(
        other,
        name=f"{name}_{other.name}",
        # Its own training pictures have labels that were guessed.
        judged={s: j for s, j in other.judged.items() if s != "train"},
    )
    beside = {
        catalog.SUPERVISED: _judged(course, result.chosen),
        name: _judged(course, other),
    }
    judged = {n: each.judged["validation"] for n, each in beside.items()}
    chosen, is_other = beside[catalog.SUPERVISED], False
    if judged[name].figures is None:
        logging.warning(
            "%s gives predictions that are no finite numbers; kept: %s",
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
    """Returns a candidate that was judged on every split."""
    judged = dict(candidate.judged)
    missing = [s for s in course.data.splits if s not in judged]
    if missing:
        course.built.model.set_weights(list(candidate.weights))
    for split in missing:
        judged[split] = course.judge(
            split, course.predict(split), candidate.decision
        )
    return dataclasses.replace(candidate, judged=judged)


def _rows(name: str, table: Sequence[Mapping[str, Any]]) -> list[dict]:
    return [{**row, "stage": name} for row in table]
