"""Exports of a finished run, each checked on held-out pictures."""

import pathlib
import re
from collections.abc import Callable

from tf_finetune import errors
from tf_finetune.config import command_configs
from tf_finetune.data import scan
from tf_finetune.exports import catalog, export_flags, multiple_formats
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import parity_check
from tf_finetune.runs import moved_pictures, parity_record
from tf_finetune.runs.finished import finished_run, run_calibration


def export_run(
    found: finished_run.FinishedRun,
    config: command_configs.ExportConfig,
    inspected: scan.InspectedPictures | None = None,
    *,
    report: Callable[[str], None],
) -> list[pathlib.Path]:
    """Exports a finished run in every format of `--format`, each checked.

    Args:
        found: The run.
        config: Formats, destination, number of pictures to check on.
        inspected: The run's own pictures, on whose validation split
            probabilities are calibrated first; None: no calibration.
        report: Called with each text for the user, such as the path of an
            export.

    Returns:
        The paths of the exports, in the order of the formats.

    Raises:
        RunError: An export differs from the evaluation's predictions; all
            formats were tried, and the others are written.
    """
    job = parity_check.measure_rounding(_make_job(found, config))
    if inspected:
        job, calibration = run_calibration.calibrate_job(
            found, inspected, job, cache_dir=config.cache_dir
        )
        report(calibration.format_line())

    def describe_pictures(path: pathlib.Path) -> str:
        # Formats are not all checked on the same pictures.
        figures = parity_check.read_figures(path)
        noun = "row" if found.inputs else "picture"
        count = figures.get(f"{noun}s", 0)
        return f"{count} held-out {noun if count == 1 else f'{noun}s'}"

    return multiple_formats.write_formats(
        config.format,
        lambda name: catalog.EXPORTS.get(name)(job),
        folder=export_flags.resolve_folder(job.destination),
        describe_pictures=describe_pictures,
        report=report,
    )


def _make_job(
    found: finished_run.FinishedRun, config: command_configs.ExportConfig
) -> jobs.ExportJob:
    finder = moved_pictures.PictureFinder(config.image_root)
    judging = parity_record.read_record(
        found.place, finder=finder, inputs=found.inputs
    )
    # Of other files than this model's, or of another task.
    if judging.predictions.shape[1:] != tuple(found.model.output_shape[1:]):
        raise errors.RunError(
            f"{found.place.parity_predictions} holds predictions of another "
            f"shape than {found.place.model.name} gives. The files of the "
            "folder do not belong together: copy it again, or train again."
        )
    # Differences of predictions without a fixed scale are
    # measured relative to the range of each output.
    unit = 1.0
    if found.task.relative_predictions:
        unit = parity_check.compute_units(judging.predictions)
    return jobs.ExportJob(
        model=found.model,
        class_names=found.class_names,
        image_size=found.image_size,
        resize=found.config.model.resize,
        pixels=found.config.model.pixels,
        options=found.config.model,
        destination=pathlib.Path(
            config.output or found.place.require_inside(found.place.export)
        ),
        proof=parity_record.read_record(
            found.place, config.examples, finder, found.inputs
        ),
        inputs=found.inputs,
        quantization_reference=judging,
        unit=unit,
        calibration=parity_record.find_calibration_paths(found.place, finder),
        task=found.config.model.task,
        decision=found.task.decision,
        name=make_served_name(found.place.path),
        tolerance=export_flags.parse_tolerance(
            config.tolerance, found.task.exports.losses
        ),
        out_of_distribution=config.out_of_distribution,
    )


def make_served_name(workdir: pathlib.Path) -> str:
    """Converts a workdir's name to characters that fit URLs and file names.

    Args:
        workdir: Path of the folder; its last component counts.

    Returns:
        Letters, digits, "-" and "_", all else replaced by "_"; "model" if
        nothing remains.
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", workdir.resolve().name)
    return name.strip("_") or "model"
