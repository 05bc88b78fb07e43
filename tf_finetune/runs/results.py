"""A run after training: figures, files, gates."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tf_finetune import environment, errors, files, workdir
from tf_finetune.config import options, train
from tf_finetune.data import statistics
from tf_finetune.evaluation import gates, plots, predictions, yardsticks
from tf_finetune.runs import course as courses
from tf_finetune.runs import learning, proof
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
    files.write_json(place.data_json, statistics.describe(data))
    files.write_text(place.labels, "\n".join(data.class_names) + "\n")
    files.write_text(place.plan, plan + "\n")
    workdir.begin(place, course.asked, _facts(course))


def evaluate(
    course: courses.Course,
    chosen: learning.Candidate,
    probe: learning.Candidate,
) -> dict[str, Any]:
    """Evaluates every split with its yardsticks; writes and returns it."""
    figures: dict[str, Any] = {
        "kept": chosen.name,
        "data_fingerprint": course.data.fingerprint,
    }
    predicted = {}
    for split in course.data.splits:
        if split in chosen.predicted:
            predicted[split] = chosen.predicted[split]
        else:
            predicted[split] = course.predict(split)
        figures[split] = course.evaluate(split, predicted[split])
        figures[split]["yardsticks"] = _yardsticks(course, split, probe)
        plots.confusion(
            figures[split]["confusion_matrix"],
            course.data.class_names,
            course.place.confusion(split),
        )
    _write_predictions(course, predicted)
    last = course.data.splits[-1]
    proof.write(course.place.proof, course.data, predicted[last])
    files.write_json(course.place.evaluation, figures)
    return figures


def save(course: courses.Course, table: list[dict]) -> None:
    """Writes the model, its weights and the history."""
    place, model = course.place, course.built.model
    if table:
        history.write(place.history, table)
        plots.curves(table, place.curves)
    save_weights(model, place)
    with files.replacing(place.model) as temporary:
        model.save(temporary)


def save_weights(model: keras.Model, place: workdir.Workdir) -> None:
    """Writes the model's weights alone, atomically."""
    with files.replacing(place.weights) as temporary:
        model.save_weights(temporary)


def finish(
    course: courses.Course,
    learnt: learning.Learnt,
    chosen: learning.Candidate,
    seconds: float,
) -> None:
    """Marks the run as finished and drops what only an unfinished one needs."""
    facts = {
        "kept": chosen.name,
        "cache": learnt.cache,
        "seconds": round(seconds, 1),
    }
    config = course.config
    if learnt.cache:
        config = options.replace(config, cache=learnt.cache)
    workdir.finish(course.place, config, facts)
    for leftover in course.place.checkpoints.glob("*"):
        leftover.unlink()


def check_gates(
    config: train.TrainConfig,
    place: workdir.Workdir,
    figures: Mapping[str, Any],
) -> None:
    """Raises `GateError` if the result is not what was asked for."""
    split = "test" if "test" in figures else "validation"
    failed = list(gates.failures(figures[split], config.output.fail_below))
    other = config.output.fail_if_not_better_than
    if other == "probe":
        probe = figures[split]["yardsticks"]["probe"]
        failed.append(gates.not_better(figures[split], probe, "the probe"))
    elif other:
        failed.append(_not_better_than_run(figures, split, other))
    failed = [sentence for sentence in failed if sentence]
    if failed:
        raise errors.GateError(
            f"{' '.join(failed)} (The run is finished; its results lie in "
            f"{place.path}.)"
        )


def _not_better_than_run(
    figures: Mapping[str, Any], split: str, other: str
) -> str | None:
    theirs = files.read_json(workdir.Workdir(other).evaluation)
    if theirs["data_fingerprint"] != figures["data_fingerprint"]:
        raise errors.RunError(
            f"The run in {other} was evaluated on other pictures or splits "
            "than this one; their figures cannot be compared."
        )
    return gates.not_better(
        figures[split], theirs[split], f"the run in {other}"
    )


def _yardsticks(
    course: courses.Course, split: str, probe: learning.Candidate
) -> dict[str, Any]:
    data = course.data
    return {
        "majority_class": yardsticks.majority_class(
            data.class_indices(data.split("train")),
            data.class_indices(data.split(split)),
            class_names=data.class_names,
        ),
        "probe": course.task.summary(
            course.evaluate(split, probe.predicted[split])
        ),
    }


def _write_predictions(
    course: courses.Course, predicted: Mapping[str, np.ndarray]
) -> None:
    """Writes what the model says of the pictures it did not learn from."""
    rows = []
    for split in course.data.splits:
        if split == "train":
            continue
        rows += predictions.from_probabilities(
            [picture.path for picture in course.data.split(split)],
            predicted[split],
            course.data.class_names,
        )
    predictions.write_csv(course.place.predictions, rows)


def _facts(course: courses.Course) -> dict[str, Any]:
    loaded = course.loaded
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
