"""Results of a run after training: figures, files, gates."""

import shutil
from collections.abc import Mapping
from typing import Any

import keras

from tf_finetune import environment, errors, files, lifecycle, workdir
from tf_finetune.config import options
from tf_finetune.data import statistics
from tf_finetune.evaluation import gates, plots, rivals
from tf_finetune.exporting.keras_files import keras_archive
from tf_finetune.runs import course as courses
from tf_finetune.runs import proof, unlabelled
from tf_finetune.runs.rows import fusing
from tf_finetune.training import history


def begin(course: courses.Course, plan: str) -> None:
    """Writes the files that are complete before training, `run.json` last.

    Raises:
        DataError: The workdir holds a run on other pictures than these.
        UsageError: The run that this one must beat was evaluated on other
            pictures.
    """
    place, data = course.place, course.data
    # A resumed run must continue on the very same pictures and splits.
    before = place.facts().get("data_fingerprint", data.fingerprint)
    if before != data.fingerprint:
        raise errors.DataError(
            f"The pictures of --data={course.config.data.data} have changed "
            f"since the unfinished run in --workdir={place.path} began. "
            "Start it anew with --overwrite."
        )
    _check_rival(course)
    files.write_json(
        place.data_json, statistics.describe(data, course.task.labels)
    )
    files.write_text(place.labels, "\n".join(data.class_names) + "\n")
    files.write_text(place.plan, plan + "\n")
    lifecycle.begin(place, course.asked, _facts(course))


def evaluate(
    course: courses.Course, result: unlabelled.Result
) -> dict[str, Any]:
    """Evaluates every split with its baselines; writes and returns it.

    Of a run on whole rows of a table, the figures are those of its rows.
    """
    chosen = result.chosen
    figures: dict[str, Any] = {
        "kept": chosen.name,
        "data_fingerprint": course.data.fingerprint,
    }
    if chosen.decision:
        figures["decision"] = dict(chosen.decision)
    if result.facts:
        figures["unlabelled"] = result.facts
    task, rows, truths = course.task.decided(chosen.decision), [], []
    for split in course.data.splits:
        judged = chosen.judged.get(split)
        if judged is None:  # Learned from pictures, not from cached rows.
            judged = course.judge(split, course.predict(split), chosen.decision)
        figures[split] = {
            **judged.figures,
            "yardsticks": _yardsticks(course, split, result),
        }
        task.figures.draw(
            judged.figures, course.data.class_names, course.place.path, split
        )
        judged.draw(course.place.path)
        # The training split has no rows.
        rows += judged.rows
        if judged.rows:
            truths += [each.label for each in course.data.split(split)]
    # Of the splits that were not trained on.
    task.answers.write(course.place.predictions, rows, truths)
    proof.write(course.place, course.task, course.data, judged.kept)
    files.write_json(course.place.evaluation, figures)
    return fusing.fuse(course, result.learnt, chosen, figures)


def save(course: courses.Course, result: unlabelled.Result) -> None:
    """Writes the model, its weights and the history."""
    place, model = course.place, course.built.model
    table = result.learnt.table
    if table:
        history.write(place.history, table)
        plots.curves(
            table,
            place.curves,
            kept=_kept_row(course, result),
            probe=result.learnt.probe.judged["validation"].figures,
        )
    save_weights(model, place)
    with files.replacing(place.model) as temporary:
        keras_archive.save(
            model, temporary, course.data.class_names, result.chosen.decision
        )


def _kept_row(course: courses.Course, result: unlabelled.Result) -> int | None:
    """Returns the epoch of the history whose weights are kept, if any."""
    table, stage = result.learnt.table, result.chosen.name
    objective = (result.facts or {}).get("objective", "")
    # The history calls its epochs after the objective alone.
    if objective and stage.startswith(f"{objective}_"):
        stage = objective
    rank = course.task.figures.rank
    rows = [i for i, row in enumerate(table) if row["stage"] == stage]
    return max(rows, key=lambda i: rank(table[i]), default=None)


def save_weights(model: keras.Model, place: workdir.Workdir) -> None:
    """Writes the model's weights alone, atomically."""
    with files.replacing(place.weights) as temporary:
        model.save_weights(temporary)


def finish(
    course: courses.Course, result: unlabelled.Result, seconds: float
) -> None:
    """Marks the run as finished and removes its checkpoints."""
    facts = {
        "kept": result.chosen.name,
        "cache": result.learnt.cache,
        "seconds": round(seconds, 1),
    }
    config = course.config
    if result.learnt.cache:
        # A replay is to take the same path, however fast its machine is.
        config = options.replace(config, cache=result.learnt.cache)
    # First the mark, then the clearing: a run killed in between is finished.
    lifecycle.finish(course.place, config, facts)
    if course.place.checkpoints.exists():
        shutil.rmtree(course.place.checkpoints)


def check_gates(course: courses.Course, figures: Mapping[str, Any]) -> None:
    """Raises `GateError` if a figure misses a gate."""
    output, measures = course.config.output, course.task.figures
    split = _judged_on(course)
    failed = list(gates.failures(figures[split], output.fail_below, measures))
    rival = output.fail_if_not_better_than
    if rival:
        theirs, name = figures[split]["yardsticks"]["probe"], "the probe"
        if rival != "probe":
            theirs, name = _rival(course)[split], f"the run in {rival}"
        failed.append(gates.not_better(figures[split], theirs, name, measures))
    # An empty sentence stands for a gate that was passed.
    failed = [sentence for sentence in failed if sentence]
    if failed:
        raise errors.GateError(
            f"{' '.join(failed)} (The run is finished; its results are in "
            f"{course.place.path}.)"
        )


def _judged_on(course: courses.Course) -> str:
    return next(each for each in rivals.SPLITS if each in course.data.splits)


def _rival(course: courses.Course) -> dict[str, Any]:
    """Returns the figures of the run that this one must beat."""
    rival = course.config.output.fail_if_not_better_than
    found = rivals.read(rival, course.task.name, course.task.figures)
    rivals.check_data(found, rival, course.data.fingerprint, _judged_on(course))
    return found


def _check_rival(course: courses.Course) -> None:
    # The probe belongs to this run; any other word is a workdir.
    if course.config.output.fail_if_not_better_than not in (None, "probe"):
        _rival(course)


def _yardsticks(
    course: courses.Course, split: str, result: unlabelled.Result
) -> dict[str, Any]:
    measures = course.task.figures
    others = {"probe": result.learnt.probe, **result.beside}
    return {
        **measures.trivial(course.described, course.data, split),
        **{
            name: measures.summary(other.judged[split].figures)
            for name, other in others.items()
        },
    }


def _facts(course: courses.Course) -> dict[str, Any]:
    loaded = course.built.loaded
    return {
        **environment.describe(),
        "seed": course.config.seed,
        "largest_batch": course.largest_batch,
        "data_fingerprint": course.data.fingerprint,
        "model": {
            "task": course.task.name,
            "backbone": course.config.model.backbone,
            "image_size": course.image_size,
            "resize": course.config.model.resize,
            "background": course.config.model.pixels.background,
            "pixel_range": options.to_text(
                course.config.model.pixels.pixel_range
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
