"""A run after training: figures, files, gates."""

import shutil
from collections.abc import Mapping
from typing import Any

import keras

from tf_finetune import environment, errors, files, lifecycle, workdir
from tf_finetune.config import options
from tf_finetune.data import statistics
from tf_finetune.evaluation import gates, plots
from tf_finetune.exporting.keras_files import keras_archive
from tf_finetune.runs import course as courses
from tf_finetune.runs import proof, unlabelled
from tf_finetune.runs.rows import fusing
from tf_finetune.training import history


def begin(course: courses.Course, plan: str) -> None:
    """Writes what is known before training, `run.json` last.

    Raises:
        DataError: The workdir holds a run on other pictures than these.
    """
    place, data = course.place, course.data
    before = place.facts().get("data_fingerprint", data.fingerprint)
    if before != data.fingerprint:
        raise errors.DataError(
            f"The pictures of --data={course.config.data.data} have changed "
            f"since the unfinished run in --workdir={place.path} began. "
            "Start it anew with --overwrite."
        )
    files.write_json(
        place.data_json, statistics.describe(data, course.task.labels)
    )
    files.write_text(place.labels, "\n".join(data.class_names) + "\n")
    files.write_text(place.plan, plan + "\n")
    lifecycle.begin(place, course.asked, _facts(course))


def evaluate(
    course: courses.Course, result: unlabelled.Result
) -> dict[str, Any]:
    """Evaluates every split with its yardsticks; writes and returns it.

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
    task, rows = course.task.decided(chosen.decision), []
    for split in course.data.splits:
        judged = chosen.judged.get(split)
        if judged is None:
            judged = course.judge(split, course.predict(split), chosen.decision)
        figures[split] = {
            **judged.figures,
            "yardsticks": _yardsticks(course, split, result),
        }
        task.figures.draw(
            judged.figures, course.data.class_names, course.place.path, split
        )
        judged.draw(course.place.path)
        rows += judged.rows
    # What was not learnt from.
    task.answers.write(course.place.predictions, rows)
    proof.write(course.place, course.task, course.data, judged.kept)
    files.write_json(course.place.evaluation, figures)
    return fusing.fuse(course, result.learnt, chosen, figures)


def save(course: courses.Course, result: unlabelled.Result) -> None:
    """Writes the model, its weights and the history."""
    place, model = course.place, course.built.model
    table = result.learnt.table
    if table:
        history.write(place.history, table)
        plots.curves(table, place.curves)
    save_weights(model, place)
    with files.replacing(place.model) as temporary:
        keras_archive.save(
            model, temporary, course.data.class_names, result.chosen.decision
        )


def save_weights(model: keras.Model, place: workdir.Workdir) -> None:
    """Writes the model's weights alone, atomically."""
    with files.replacing(place.weights) as temporary:
        model.save_weights(temporary)


def finish(
    course: courses.Course, result: unlabelled.Result, seconds: float
) -> None:
    """Marks the run as finished and drops what only an unfinished one needs."""
    facts = {
        "kept": result.chosen.name,
        "cache": result.learnt.cache,
        "seconds": round(seconds, 1),
    }
    config = course.config
    if result.learnt.cache:
        config = options.replace(config, cache=result.learnt.cache)
    lifecycle.finish(course.place, config, facts)
    for leftover in course.place.checkpoints.glob("*"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def check_gates(course: courses.Course, figures: Mapping[str, Any]) -> None:
    """Raises `GateError` if the result is not what was asked for."""
    output, measures = course.config.output, course.task.figures
    split = "test" if "test" in figures else "validation"
    failed = list(gates.failures(figures[split], output.fail_below, measures))
    other = output.fail_if_not_better_than
    if other == "probe":
        probe = figures[split]["yardsticks"]["probe"]
        failed.append(
            gates.not_better(figures[split], probe, "the probe", measures)
        )
    elif other:
        failed.append(_not_better_than_run(course, figures, split, other))
    failed = [sentence for sentence in failed if sentence]
    if failed:
        raise errors.GateError(
            f"{' '.join(failed)} (The run is finished; its results lie in "
            f"{course.place.path}.)"
        )


def _not_better_than_run(
    course: courses.Course, figures: Mapping[str, Any], split: str, other: str
) -> str | None:
    theirs = files.read_json(workdir.Workdir(other).evaluation)
    if theirs["data_fingerprint"] != figures["data_fingerprint"]:
        raise errors.RunError(
            f"The run in {other} was evaluated on other pictures or splits "
            "than this one; their figures cannot be compared."
        )
    return gates.not_better(
        figures[split],
        theirs[split],
        f"the run in {other}",
        course.task.figures,
    )


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
        },
        "weights": loaded
        and {
            "source": loaded.source,
            "path": str(loaded.path),
            "sha256": loaded.sha256,
            "report": loaded.report.summary(),
        },
    }
