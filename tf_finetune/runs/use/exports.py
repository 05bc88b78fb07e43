"""Exports of a finished run, each checked on held-out pictures."""

import pathlib
import re
from collections.abc import Callable

from tf_finetune import errors
from tf_finetune.config import use
from tf_finetune.data import survey
from tf_finetune.exporting import catalog, choice, destination, series
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting.proof import parity
from tf_finetune.runs import moved, proof
from tf_finetune.runs.use import calibrating, finished


def export(
    found: finished.Finished,
    config: use.ExportConfig,
    inspected: survey.Inspected | None = None,
    *,
    report: Callable[[str], None],
) -> list[pathlib.Path]:
    """Writes every format that is asked for.

    Args:
        found: The run.
        config: Formats, destination, number of pictures to check on.
        inspected: The run's own pictures, to calibrate on.
        report: Called with the path of each export.

    Returns:
        The exports written, in the order of the formats.

    Raises:
        RunError: An export gives other numbers than the evaluation gave; all
            formats have been tried, and the others are there.
    """
    job = parity.with_rounding(_job(found, config))
    if inspected:
        job, calibration = calibrating.calibrated(
            found, inspected, job, cache_dir=config.cache_dir
        )
        report(calibration.sentence())

    def proven(path: pathlib.Path) -> str:
        # Formats are not all checked on the same pictures.
        pictures = parity.recorded(path).get("pictures", 0)
        noun = "picture" if pictures == 1 else "pictures"
        return f"{pictures} held-out {noun}"

    return series.write(
        config.format,
        lambda name: catalog.EXPORTS.get(name)(job),
        folder=destination.folder(job.destination),
        proven=proven,
        report=report,
    )


def _job(found: finished.Finished, config: use.ExportConfig) -> jobs.ExportJob:
    finder = moved.Finder(config.image_root)
    judging = proof.read(found.place, finder=finder)
    # Of other files than this model's, or of another task.
    if judging.predictions.shape[1:] != tuple(found.model.output_shape[1:]):
        raise errors.RunError(
            f"{found.place.proven} holds predictions of another shape than "
            f"{found.place.model.name} gives. The files of the folder do not "
            "belong together: copy it again, or train again."
        )
    # Differences of predictions without a fixed scale (regression) are
    # measured relative to the range of each output.
    unit = 1.0
    if found.task.relative_predictions:
        unit = parity.units(judging.predictions)
    return jobs.ExportJob(
        model=found.model,
        class_names=found.class_names,
        image_size=found.image_size,
        resize=found.config.model.resize,
        pixels=found.config.model.pixels,
        destination=pathlib.Path(
            config.output or found.place.own(found.place.export)
        ),
        proof=proof.read(found.place, config.examples, finder),
        judging=judging,
        unit=unit,
        calibration=proof.calibration(found.place, finder),
        task=found.config.model.task,
        decision=found.task.decision,
        name=served_name(found.place.path),
        tolerance=choice.tolerated(config.tolerance, found.task.exports.losses),
        out_of_distribution=config.out_of_distribution,
    )


def served_name(workdir: pathlib.Path) -> str:
    """Returns the workdir's name in characters that fit URLs and files."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", workdir.resolve().name)
    return name.strip("_") or "model"
