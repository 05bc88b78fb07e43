"""Files of a run: those written before training, and its results."""

import shutil
from collections.abc import Mapping
from typing import Any

from tf_finetune import environment, errors, files
from tf_finetune.config import options, train_config
from tf_finetune.data import data_statistics
from tf_finetune.drawing import result_plots
from tf_finetune.evaluation import gates, reference_run
from tf_finetune.exports import export_files
from tf_finetune.model import assembly
from tf_finetune.runs import candidates, parity_record, split_evaluation
from tf_finetune.runs import context as contexts
from tf_finetune.tasks import catalog as tasks
from tf_finetune.training import history
from tf_finetune.workdir import lifecycle


def evaluate_splits(
    context: contexts.RunContext, result: candidates.RunResult
) -> dict[str, Any]:
    """Evaluates the kept model on every split beside its baselines.

    It writes evaluation.json, predictions.csv, charts and the pictures that
    exports are checked on to the workdir.

    Args:
        context: The run, with the weights of the kept candidate in its model.
        result: The candidates; evaluations that they lack are computed here.

    Returns:
        The content of evaluation.json: "kept", "data_fingerprint", "decision"
        and "unlabeled" if any, and by split name metrics with their
        "baselines".
    """
    chosen = result.chosen
    figures: dict[str, Any] = {
        "kept": chosen.name,
        "data_fingerprint": context.data.fingerprint,
    }
    if chosen.decision:
        figures["decision"] = dict(chosen.decision)
    if result.facts:
        figures["unlabeled"] = result.facts
    task, rows, truths = context.task.with_decision(chosen.decision), [], []
    for split in context.data.splits:
        judged = chosen.evaluations.get(split)
        if judged is None:  # Learned from pictures, not from cached rows.
            judged = split_evaluation.evaluate_model(
                context, split, chosen.decision
            )
        figures[split] = {
            **judged.figures,
            "baselines": _summarize_baselines(context, split, result),
        }
        task.figures.draw(
            judged.figures, context.data.class_names, context.place.path, split
        )
        judged.draw(context.place.path)
        # The training split has no rows.
        rows += judged.rows
        if judged.rows:
            truths += [each.label for each in context.data.split(split)]
    # Of the splits that were not trained on.
    task.answers.write(context.place.predictions, rows, truths)
    parity_record.write_record(
        context.place, context.task, context.data, judged.kept
    )
    files.write_json(context.place.evaluation, figures)
    return figures


def _summarize_baselines(
    context: contexts.RunContext,
    split: str,
    result: candidates.RunResult,
) -> dict[str, Any]:
    measures = context.task.figures
    others = {"probe": result.fit_result.probe, **result.beside}
    return {
        **measures.compute_baselines(
            context.label_description, context.data, split
        ),
        **{
            name: measures.summary(other.evaluations[split].figures)
            for name, other in others.items()
        },
    }


def begin_run(context: contexts.RunContext, plan: str) -> None:
    """Writes the files that are complete before training, `run.json` last.

    Args:
        context: The run; an unfinished one in its workdir is resumed.
        plan: The text of plan.txt.

    Raises:
        DataError: The unfinished run began with other pictures.
        UsageError: The run that this one must beat cannot be compared with.
    """
    place, data = context.place, context.data
    # A resumed run must continue on the very same pictures and splits.
    before = place.facts().get("data_fingerprint", data.fingerprint)
    if before != data.fingerprint:
        raise errors.DataError(
            f"The pictures of --data={context.config.data.data} have changed "
            f"since the unfinished run in --workdir={place.path} began. "
            "Start it anew with --overwrite."
        )
    check_reference_run(context)
    files.write_json(
        place.data_json,
        data_statistics.describe_data(data, context.task.labels),
    )
    files.write_text(place.labels, "\n".join(data.class_names) + "\n")
    files.write_text(place.plan, plan + "\n")
    facts = describe_run(
        context.config,
        context.assembly,
        data.fingerprint,
        context.largest_batch,
    )
    lifecycle.mark_begun(place, context.requested_config, facts)


def save_results(
    context: contexts.RunContext, result: candidates.RunResult
) -> None:
    """Writes model, weights, history and its plot to the workdir."""
    place, model = context.place, context.assembly.model
    if table := result.fit_result.table:
        history.write(place.history, table)
        result_plots.plot_training_curves(
            table,
            place.curves,
            kept=_find_kept_epoch(context, result),
            probe=result.fit_result.probe.evaluations["validation"].figures,
        )
    with files.replacing(place.weights) as temporary:
        export_files.save_weights(model, temporary, context.config.model)
    with files.replacing(place.model) as temporary:
        export_files.save_keras(
            model, temporary, context.data.class_names, result.chosen.decision
        )


def _find_kept_epoch(
    context: contexts.RunContext, result: candidates.RunResult
) -> int | None:
    """Returns the index in the history of the kept epoch, if any."""
    table, stage = result.fit_result.table, result.history_stage
    rows = [i for i, row in enumerate(table) if row["stage"] == stage]
    if context.config.training.keep_epoch == "last":
        return rows[-1] if rows else None
    rank = context.task.figures.rank_epoch
    return max(rows, key=lambda i: rank(table[i]), default=None)


def finish_run(
    context: contexts.RunContext,
    result: candidates.RunResult,
    seconds: float,
) -> None:
    """Marks the run, which took `seconds`, finished; removes checkpoints."""
    facts = {
        "kept": result.chosen.name,
        "cache": result.fit_result.cache,
        "seconds": round(seconds, 1),
    }
    if result.fit_result.stages:
        facts["stages"] = [*result.fit_result.stages]
    config = context.config
    if result.fit_result.cache:
        # A replay is to take the same path, however fast its machine is.
        config = options.replace(config, cache=result.fit_result.cache)
    # First the mark, then the clearing: a run killed in between is finished.
    lifecycle.mark_finished(context.place, config, facts)
    if context.place.checkpoints.exists():
        shutil.rmtree(context.place.checkpoints)


def describe_run(
    config: train_config.TrainConfig,
    built: assembly.Assembly,
    fingerprint: str,
    largest_batch: int | None,
) -> dict[str, Any]:
    """Returns the facts that run.json holds from the beginning of a run.

    Args:
        config: The config in effect.
        built: The model.
        fingerprint: Hash of the data's contents, labels and splits.
        largest_batch: Batch size that was found; None: not searched.

    Returns:
        Versions of the environment, "seed", "largest_batch",
        "data_fingerprint", "model", and "weights" (None for random ones); ready
        for JSON.
    """
    loaded = built.loaded
    return {
        **environment.describe_environment(),
        "seed": config.seed,
        "largest_batch": largest_batch,
        "data_fingerprint": fingerprint,
        "model": {
            "task": tasks.TASKS.get(config.model.task).name,
            "backbone": config.model.backbone,
            "image_size": built.backbone.image_size,
            "resize": config.model.resize,
            "background": config.model.pixels.background,
            "pixel_range": options.to_text(config.model.pixels.pixel_range),
        },
        "weights": loaded
        and {
            "source": loaded.source,
            "path": str(loaded.path),
            "sha256": loaded.sha256,
            "report": loaded.report.summary(),
        },
    }


def check_gates(
    context: contexts.RunContext, figures: Mapping[str, Any]
) -> None:
    """Checks the gates on test, or on validation where there is no test split.

    Raises:
        GateError: A metric in `figures` (from `evaluate_splits`) misses
            `--fail_below` or `--fail_if_not_better_than`.
    """
    output, measures = context.config.output, context.task.figures
    if not output.fail_below and not output.fail_if_not_better_than:
        return
    split = _choose_gate_split(context)
    failed = list(
        gates.find_failures(figures[split], output.fail_below, measures)
    )
    rival = output.fail_if_not_better_than
    if rival:
        theirs, name = figures[split]["baselines"]["probe"], "the probe"
        if rival != "probe":
            theirs, name = (
                _load_reference_run(context)[split],
                f"the run in {rival}",
            )
        failed.append(
            gates.explain_not_better(figures[split], theirs, name, measures)
        )
    # An empty sentence stands for a gate that was passed.
    if failed := [sentence for sentence in failed if sentence]:
        raise errors.GateError(
            f"{' '.join(failed)} (The run is finished; its results are in "
            f"{context.place.path}.)"
        )


def _choose_gate_split(context: contexts.RunContext) -> str:
    return next(
        each for each in reference_run.SPLITS if each in context.data.splits
    )


def _load_reference_run(context: contexts.RunContext) -> dict[str, Any]:
    """Returns the content of evaluation.json of the run to beat."""
    rival = context.config.output.fail_if_not_better_than
    found = reference_run.read_figures(
        rival, context.task.name, context.task.figures
    )
    reference_run.check_data(
        found, rival, context.data.fingerprint, _choose_gate_split(context)
    )
    return found


def check_reference_run(context: contexts.RunContext) -> None:
    """Checks that the run of `--fail_if_not_better_than` can be compared with.

    Raises:
        UsageError: It has no metrics, or those of another task or data.
    """
    # The probe belongs to this run; any other word is a workdir.
    if context.config.output.fail_if_not_better_than not in (None, "probe"):
        _load_reference_run(context)
