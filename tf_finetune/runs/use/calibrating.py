"""A run's probabilities calibrated for its exports; the run stays as it is."""

import dataclasses

import keras
import numpy as np

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import survey, verification
from tf_finetune.evaluation import calibration
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting import parity
from tf_finetune.runs.use import evaluating, finished

_BATCH_SIZE = 32


def calibrated(
    found: finished.Finished,
    inspected: survey.Inspected,
    source: data_options.DataOptions,
    job: jobs.ExportJob,
) -> tuple[jobs.ExportJob, calibration.Calibration]:
    """Finds a temperature on validation and puts it into what is exported.

    Args:
        found: The run.
        inspected: Its own pictures.
        source: How they were read.
        job: What would be exported without.

    Returns:
        The job of a model with the temperature in it, to be proven on the
        probabilities that follow from the evaluation's; and what was found.

    Raises:
        DataError: The pictures are not those of the run any more, or there
            is no validation split.
    """
    task = found.task.network
    model = keras.Model(found.model.inputs, task.logits(found.model))
    paths, labels = _validation(found, inspected, source)
    allowed = parity.tolerance(job)
    result = calibration.calibrate(_logits(found, model, paths), labels)

    def scaled(proof: jobs.Proof | None) -> jobs.Proof | None:
        if proof is None:
            return None
        logits = _logits(found, model, proof.paths)
        _require_same(task.finish(logits), proof, allowed)
        changed = task.finish(logits / result.temperature)
        return dataclasses.replace(proof, predictions=changed)

    changed = dataclasses.replace(
        job,
        model=task.calibrated(found.model, result.temperature),
        proof=scaled(job.proof),
        judging=scaled(job.judging),
        temperature=dataclasses.asdict(result),
    )
    # A temperature below 1 enlarges what is rounded, too.
    return parity.with_rounding(changed), result


def _validation(
    found: finished.Finished,
    inspected: survey.Inspected,
    source: data_options.DataOptions,
) -> tuple[list[str], np.ndarray]:
    problems = verification.problems(
        inspected.pictures,
        cache_dir=found.config.output.cache_folder,
        image_size=found.image_size,
        resize=found.config.model.resize,
    )
    data = evaluating.own(found, inspected, problems, source)
    if "validation" not in data.splits:
        raise errors.DataError(
            "--calibrate needs validation pictures, and the run in "
            f"{found.place.path} has none."
        )
    pictures = data.split("validation")
    return [each.path for each in pictures], data.class_indices(pictures)


def _logits(
    found: finished.Finished, model: keras.Model, paths: list[str]
) -> np.ndarray:
    batches = found.predict(paths, batch_size=_BATCH_SIZE, model=model)
    return np.concatenate([*batches])


def _require_same(
    probabilities: np.ndarray, proof: jobs.Proof, allowed: float
) -> None:
    difference = np.abs(probabilities - proof.predictions).max()
    if not difference <= allowed:
        raise errors.RunError(
            "The model gives other probabilities than its evaluation gave, by "
            f"up to {difference:.2g}; it is not calibrated. Evaluate the run "
            "again; if it was not changed since, please report this."
        )
