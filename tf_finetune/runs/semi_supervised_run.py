"""Semi-supervised learning beside the supervised run.

The supervised run is the baseline: both are evaluated on the same validation
pictures, and the better one is kept.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from absl import logging

from tf_finetune import errors, files
from tf_finetune.config import teacher_options
from tf_finetune.data import unlabeled_files
from tf_finetune.data.images import inspection
from tf_finetune.model import assembly
from tf_finetune.runs import candidates, run_preparation, split_evaluation
from tf_finetune.runs import context as contexts
from tf_finetune.runs.objectives import objective_protocol as objectives
from tf_finetune.semi_supervised import catalog
from tf_finetune.workdir import json_schema, workdir_files

Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparation:
    """Unlabeled pictures and pretrained weights, before the supervised run.

    Attributes:
        pool: The usable unlabeled pictures.
        pretrained: Values of all weights of the model before training, from
            which the objective starts, as the supervised run does.
    """

    pool: unlabeled_files.Pool
    pretrained: Sequence[np.ndarray]


def prepare_pool(context: contexts.RunContext, report: Report) -> Preparation:
    """Decodes the unlabeled pictures of a run and records their fingerprint.

    Args:
        context: The run, not trained yet.
        report: Called with each text for the user.

    Returns:
        The pictures, and a copy of the model's present weights.

    Raises:
        DataError: No unlabeled picture is usable, or the unfinished run in the
            workdir began with others.
    """
    pool = _collect_pool(context)
    report(pool.text())
    unlabeled = context.config.unlabeled
    # Its checkpoints and history must not overwrite the supervised run's.
    for place in _separate_places(context).values():
        place.checkpoints.mkdir(parents=True, exist_ok=True)
    record_pool(context.place, pool, unlabeled.unlabeled_data)
    return Preparation(
        pool=pool,
        pretrained=assembly.copy_values(context.assembly.model.weights),
    )


def learn_from_pool(
    context: contexts.RunContext,
    prepared: Preparation,
    supervised: candidates.RunResult,
    held: contextlib.ExitStack,
    report: Report,
) -> candidates.RunResult:
    """Trains on the unlabeled pictures too and keeps the better model.

    Args:
        context: The run; its model ends with the weights of the kept candidate.
        prepared: Its unlabeled pictures and pretrained weights.
        supervised: Its result on labeled pictures alone.
        held: Exit stack that keeps cache entries from being evicted until it is
            closed.
        report: Called with each text for the user.

    Returns:
        A new result: the supervised candidate or that of the objective,
        whichever is better on validation; the supervised one where the
        objective learns nothing or diverges.
    """
    name, pool = context.config.unlabeled.effective_objective, prepared.pool
    assembly.assign_values(context.assembly.model.weights, prepared.pretrained)
    given = objectives.ObjectiveInputs(
        context=dataclasses.replace(context, **_separate_places(context)),
        pool=pool,
        supervised=supervised.chosen,
        exit_stack=held,
    )
    # Raises if a file of the pool changes while it is learned from.
    with inspection.verify_unchanged(pool.pictures):
        context.cache.fill_features(pool.pictures, with_rows=False)
        outcome = catalog.OBJECTIVES.get(name)(given)
    facts = {"objective": name, "pool": pool.describe()}
    result = dataclasses.replace(supervised, facts=facts)
    if outcome is not None:
        report(f"{name}: {outcome.text}")
        result = _select_better(context, result, outcome, report)
    candidates.assign_candidate(context, result.chosen)
    return result


def _collect_pool(context: contexts.RunContext) -> unlabeled_files.Pool:
    options = context.config.unlabeled
    found = unlabeled_files.collect_pool(
        unlabeled_files.find_files(
            options.unlabeled_data, flag="unlabeled_data"
        ),
        context.data.pictures,
        max_pixels=context.config.data.max_pixels,
    )
    # Decoded once, with the features of the head on the way.
    problems = run_preparation.decode_and_extract(
        found.pictures,
        context.config,
        context.networks,
        context.cache,
    )
    found = found.without(problems)
    if not found.pictures:
        raise errors.DataError(
            f"--unlabeled_data={options.unlabeled_data} holds no picture to "
            f"learn from: {found.text()}"
        )
    return found


def record_pool(
    place: workdir_files.Workdir,
    pool: unlabeled_files.Pool,
    unlabeled_data: str,
) -> None:
    """Records the fingerprint of the unlabeled pictures in the workdir.

    Args:
        place: Workdir of the run.
        pool: The pictures.
        unlabeled_data: The value of `--unlabeled_data`, named in errors.

    Raises:
        DataError: The unfinished run in the workdir began with other pictures.
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


def _separate_places(
    context: contexts.RunContext,
) -> dict[str, workdir_files.Workdir]:
    """Returns folders for checkpoints and history of the objective."""
    name = context.config.unlabeled.effective_objective
    return {
        "place": context.place.semi_supervised_workdir(name),
        "shared": context.shared.semi_supervised_workdir(name),
    }


def _select_better(
    context: contexts.RunContext,
    result: candidates.RunResult,
    outcome: objectives.ObjectiveResult,
    report: Report,
) -> candidates.RunResult:
    """Chooses between supervised and semi-supervised on validation."""
    name, other = result.facts["objective"], outcome.candidate
    other = dataclasses.replace(
        other,
        name=f"{name}_{other.name}",
        # Its training split holds pseudo-labels; figures on it mean nothing.
        evaluations={
            s: j for s, j in other.evaluations.items() if s != "train"
        },
    )
    beside = {
        teacher_options.SUPERVISED: _evaluate_candidate(context, result.chosen),
        name: _evaluate_candidate(context, other),
    }
    # The supervised candidate wins where the other has no finite figures.
    chosen = beside[teacher_options.SUPERVISED]
    if beside[name].evaluations["validation"].figures is None:
        logging.warning(
            "%s diverged: its predictions are NaN or infinite; kept: %s",
            name,
            teacher_options.SUPERVISED,
        )
        beside = {}
    else:
        selection = candidates.compare_candidates(
            beside, context.task, context.config.seed
        )
        report(selection.text)
        chosen = selection.candidate
    # The history calls the epochs of an objective after it.
    table = [{**row, "stage": name} for row in outcome.table]
    fit_result = dataclasses.replace(
        result.fit_result, table=[*result.fit_result.table, *table]
    )
    is_other = chosen.name == other.name
    return candidates.RunResult(
        fit_result=fit_result,
        chosen=chosen,
        beside=beside,
        facts={**result.facts, **outcome.facts, "kept": is_other},
    )


def _evaluate_candidate(
    context: contexts.RunContext, candidate: candidates.Candidate
) -> candidates.Candidate:
    """Evaluates a candidate on the splits that it lacks."""
    found = dict(candidate.evaluations)
    missing = [s for s in context.data.splits if s not in found]
    # Predicting takes the candidate's own weights in the model.
    if missing:
        candidates.assign_candidate(context, candidate)
    for split in missing:
        found[split] = split_evaluation.evaluate_model(
            context, split, candidate.decision
        )
    return dataclasses.replace(candidate, evaluations=found)
