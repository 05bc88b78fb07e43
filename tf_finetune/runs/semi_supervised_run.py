"""Semi-supervised learning beside the supervised run.

The supervised run is the baseline: both are evaluated on the same validation
pictures, and the better one is kept.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging

from tf_finetune import errors, files
from tf_finetune.data import file_stamps, unlabeled_files
from tf_finetune.data import unlabeled_pool as pools
from tf_finetune.metrics import candidate_selection
from tf_finetune.runs import context as contexts
from tf_finetune.runs import fit_stages, picture_scan
from tf_finetune.runs.objectives import objective_protocol as objectives
from tf_finetune.semi_supervised import catalog
from tf_finetune.workdir import json_schema, workdir_files


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunResult:
    """The result of a run.

    Attributes:
        fit_result: The result on labeled pictures alone; with the whole
            history.
        chosen: The candidate that is kept.
        beside: By name, the candidates, evaluated on every split; empty in a
            run on labeled pictures alone.
        facts: The entry of evaluation.json about unlabeled pictures.
    """

    fit_result: fit_stages.FitResult
    chosen: fit_stages.Candidate
    beside: Mapping[str, fit_stages.Candidate] = dataclasses.field(
        default_factory=dict
    )
    facts: Mapping[str, Any] | None = None


def fit_run(
    context: contexts.RunContext,
    held: contextlib.ExitStack,
    *,
    report: Callable[[str], None],
) -> RunResult:
    """Learns from the labeled pictures, then from the unlabeled ones too.

    Args:
        context: The run.
        held: Keeps cache entries from being evicted until it is closed.
        report: Called with each text for the user.
    """
    name = context.config.unlabeled.effective_objective
    if name == catalog.SUPERVISED:
        learnt = fit_stages.run_stages(context)
        return RunResult(
            fit_result=learnt,
            chosen=fit_stages.select_candidate(context, learnt),
        )
    pool = _collect_pool(context)
    report(pool.text())
    # Its checkpoints and history must not overwrite the supervised run's.
    apart = _separate_files(context, name)
    record_pool(context.place, pool, context.config.unlabeled.unlabeled_data)
    # The objective starts where the supervised run has started.
    pretrained = context.assembly.model.get_weights()
    learnt = fit_stages.run_stages(context)
    supervised = fit_stages.select_candidate(context, learnt)
    context.assembly.model.set_weights(pretrained)
    given = objectives.ObjectiveInputs(
        context=apart, pool=pool, supervised=supervised, exit_stack=held
    )
    # Raises if a file of the pool changes while it is learned from.
    with file_stamps.verify_unchanged(pool.pictures):
        context.cache.fill_features(pool.pictures, with_rows=False)
        outcome = catalog.OBJECTIVES.get(name)(given)
    facts = {"objective": name, "pool": pool.describe()}
    if outcome is None:
        context.assembly.model.set_weights(list(supervised.weights))
        return RunResult(fit_result=learnt, chosen=supervised, facts=facts)
    report(f"{name}: {outcome.text}")
    return _select_better(
        context,
        RunResult(fit_result=learnt, chosen=supervised, facts=facts),
        outcome,
        report,
    )


def _collect_pool(context: contexts.RunContext) -> pools.Pool:
    options = context.config.unlabeled
    found = pools.collect_pool(
        unlabeled_files.find_files(
            options.unlabeled_data, flag="unlabeled_data"
        ),
        context.data.pictures,
        max_pixels=context.config.data.max_pixels,
    )
    # Decoded once, with the features of the head on the way.
    problems = picture_scan.decode_and_extract(
        found.pictures,
        context.config,
        context.networks,
        context.cache,
        batch_size=context.config.training.batch_size,
    )
    found = found.without(problems)
    if not found.pictures:
        raise errors.DataError(
            f"--unlabeled_data={options.unlabeled_data} holds no picture to "
            f"learn from: {found.text()}"
        )
    return found


def record_pool(
    place: workdir_files.Workdir, pool: pools.Pool, unlabeled_data: str
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
    kind = json_schema.Record({"fingerprint": json_schema.Text(longest=1000)})
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


def _separate_files(
    context: contexts.RunContext, name: str
) -> contexts.RunContext:
    """Returns the run with a folder of its own for checkpoints and history."""
    places = {
        each: place.semi_supervised_workdir(name)
        for each, place in (
            ("place", context.place),
            ("shared", context.shared),
        )
    }
    for place in places.values():
        place.checkpoints.mkdir(parents=True, exist_ok=True)
    return dataclasses.replace(context, **places)


def _select_better(
    context: contexts.RunContext,
    result: RunResult,
    outcome: objectives.ObjectiveResult,
    report: Callable[[str], None],
) -> RunResult:
    """Chooses between supervised and semi-supervised on validation."""
    name = result.facts["objective"]
    other = outcome.candidate
    other = dataclasses.replace(
        other,
        name=f"{name}_{other.name}",
        # Its training split holds pseudo-labels; figures on it mean nothing.
        evaluations={
            s: j for s, j in other.evaluations.items() if s != "train"
        },
    )
    beside = {
        catalog.SUPERVISED: _evaluate_candidate(context, result.chosen),
        name: _evaluate_candidate(context, other),
    }
    judged = {n: each.evaluations["validation"] for n, each in beside.items()}
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
        kept = candidate_selection.select_candidate(
            {n: each.evidence() for n, each in judged.items()},
            seed=context.config.seed,
        )
        brief = context.task.figures.format_brief
        said = {n: brief(each.figures) for n, each in judged.items()}
        report(fit_stages.format_selection(said, kept))
        chosen, is_other = beside[kept.name], kept.name == name
    context.assembly.model.set_weights(list(chosen.weights))
    table = [*result.fit_result.table, *_name_stage(name, outcome.table)]
    return RunResult(
        fit_result=dataclasses.replace(result.fit_result, table=table),
        chosen=chosen,
        beside=beside,
        facts={**result.facts, **outcome.facts, "kept": is_other},
    )


def _evaluate_candidate(
    context: contexts.RunContext, candidate: fit_stages.Candidate
) -> fit_stages.Candidate:
    """Evaluates a candidate on the splits that it lacks."""
    judged = dict(candidate.evaluations)
    missing = [s for s in context.data.splits if s not in judged]
    # Predicting takes the candidate's own weights in the model.
    if missing:
        context.assembly.model.set_weights(list(candidate.weights))
    for split in missing:
        judged[split] = context.judge(
            split, context.predict(split), candidate.decision
        )
    return dataclasses.replace(candidate, evaluations=judged)


def _name_stage(name: str, table: Sequence[Mapping[str, Any]]) -> list[dict]:
    return [{**row, "stage": name} for row in table]
