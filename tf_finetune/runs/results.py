"""Files of a run: those written before training, and its results."""

import shutil
from typing import Any

import keras

from tf_finetune import environment, errors, files
from tf_finetune.config import options
from tf_finetune.data import data_statistics
from tf_finetune.drawing import result_plots
from tf_finetune.exports import keras_archive
from tf_finetune.runs import context as contexts
from tf_finetune.runs import fit_stages, run_gates
from tf_finetune.training import history
from tf_finetune.workdir import lifecycle, workdir_files


def begin_run(context: contexts.RunContext, plan: str) -> None:
    """Writes the files that are complete before training, `run.json` last.

    Raises:
        DataError: The workdir holds a run on other pictures than these.
        UsageError: The run that this one must beat was evaluated on other
            pictures.
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
    run_gates.check_reference_run(context)
    files.write_json(
        place.data_json,
        data_statistics.describe_data(data, context.task.labels),
    )
    files.write_text(place.labels, "\n".join(data.class_names) + "\n")
    files.write_text(place.plan, plan + "\n")
    lifecycle.mark_begun(
        place, context.requested_config, _collect_facts(context)
    )


def save_results(
    context: contexts.RunContext, result: fit_stages.RunResult
) -> None:
    """Writes the model, its weights and the history."""
    place, model = context.place, context.assembly.model
    table = result.fit_result.table
    if table:
        history.write(place.history, table)
        result_plots.plot_training_curves(
            table,
            place.curves,
            kept=_find_kept_epoch(context, result),
            probe=result.fit_result.probe.evaluations["validation"].figures,
        )
    save_weights(model, place)
    with files.replacing(place.model) as temporary:
        keras_archive.save_archive(
            model, temporary, context.data.class_names, result.chosen.decision
        )


def _find_kept_epoch(
    context: contexts.RunContext, result: fit_stages.RunResult
) -> int | None:
    """Returns the epoch of the history whose weights are kept, if any."""
    table, stage = result.fit_result.table, result.chosen.name
    objective = (result.facts or {}).get("objective", "")
    # The history calls its epochs after the objective alone.
    if objective and stage.startswith(f"{objective}_"):
        stage = objective
    rank = context.task.figures.rank_epoch
    rows = [i for i, row in enumerate(table) if row["stage"] == stage]
    return max(rows, key=lambda i: rank(table[i]), default=None)


def save_weights(model: keras.Model, place: workdir_files.Workdir) -> None:
    """Writes the model's weights alone, atomically."""
    with files.replacing(place.weights) as temporary:
        model.save_weights(temporary)


def finish_run(
    context: contexts.RunContext,
    result: fit_stages.RunResult,
    seconds: float,
) -> None:
    """Marks the run as finished and removes its checkpoints."""
    facts = {
        "kept": result.chosen.name,
        "cache": result.fit_result.cache,
        "seconds": round(seconds, 1),
    }
    config = context.config
    if result.fit_result.cache:
        # A replay is to take the same path, however fast its machine is.
        config = options.replace(config, cache=result.fit_result.cache)
    # First the mark, then the clearing: a run killed in between is finished.
    lifecycle.mark_finished(context.place, config, facts)
    if context.place.checkpoints.exists():
        shutil.rmtree(context.place.checkpoints)


def _collect_facts(context: contexts.RunContext) -> dict[str, Any]:
    loaded = context.assembly.loaded
    return {
        **environment.describe_environment(),
        "seed": context.config.seed,
        "largest_batch": context.largest_batch,
        "data_fingerprint": context.data.fingerprint,
        "model": {
            "task": context.task.name,
            "backbone": context.config.model.backbone,
            "image_size": context.image_size,
            "resize": context.config.model.resize,
            "background": context.config.model.pixels.background,
            "pixel_range": options.to_text(
                context.config.model.pixels.pixel_range
            ),
        },
        "weights": loaded
        and {
            "source": loaded.source,
            "path": str(loaded.path),
            "sha256": loaded.sha256,
            "report": loaded.report.summary(),
        },
    }
