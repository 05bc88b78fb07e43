"""Exports of a finished run, each proven on held-out pictures."""

import pathlib
from collections.abc import Callable

from tf_finetune.config import use
from tf_finetune.exporting import catalog
from tf_finetune.exporting import job as jobs
from tf_finetune.runs import finished, proof


def export(
    found: finished.Finished,
    config: use.ExportConfig,
    *,
    report: Callable[[str], None],
) -> list[pathlib.Path]:
    """Writes every format that is asked for.

    Args:
        found: The run.
        config: Formats, destination, number of proving pictures.
        report: Called with where each export lies.

    Returns:
        What was written, in the order of the formats.

    Raises:
        RunError: An export gives other numbers than the evaluation gave.
    """
    job = jobs.ExportJob(
        model=found.model,
        class_names=found.class_names,
        image_size=found.image_size,
        resize=found.config.model.resize,
        destination=pathlib.Path(config.output or found.place.export),
        proof=proof.read(found.place.proof, config.examples),
        judging=proof.read(found.place.proof),
        calibration=proof.calibration(found.place.proof),
    )
    written = []
    for name in config.format:
        path = catalog.EXPORTS.get(name)(job)
        report(
            f"{name}: {path}, proven on {len(job.proof.paths)} held-out "
            "pictures (parity.json)"
        )
        written.append(path)
    return written
