"""Calibrates a run's probabilities for its exports; the run is unchanged.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section
4.2 (temperature scaling).
"""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tf_finetune import errors
from tf_finetune.data import examples, scan
from tf_finetune.data import split_targets as target_rows
from tf_finetune.data.images import verification
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import export_refusal, parity_check
from tf_finetune.metrics import temperature_scaling
from tf_finetune.runs.finished import finished_run, run_evaluation
from tf_finetune.tasks import certainty, probability_network

if TYPE_CHECKING:
    from tf_finetune.inputs import input_rows

_BATCH_SIZE = 32


def calibrate_job(
    found: finished_run.FinishedRun,
    inspected: scan.InspectedPictures,
    job: jobs.ExportJob,
    *,
    cache_dir: str,
) -> tuple[jobs.ExportJob, temperature_scaling.Calibration]:
    """Fits a temperature on validation logits and builds it into an export job.

    Args:
        found: The run; left unchanged.
        inspected: Its own pictures, listed again.
        job: The export without calibration; left unchanged.
        cache_dir: Cache directory for decode results.

    Returns:
        A new job, whose model divides its logits by the temperature, with
        thresholds converted to it and with the evaluation's probabilities at
        that temperature to check the export on; and the calibration.

    Raises:
        DataError: The pictures are no longer those of the run, or there is no
            validation split.
        RunError: The model's probabilities differ from the evaluation's, or no
            thresholds would give the same predictions.
    """
    network = found.task.network
    model = keras.Model(found.model.input, network.find_logits(found.model))
    data, joined = _load_own_data(found, inspected, cache_dir), {}
    if found.inputs:
        rows = run_evaluation.join_rows(data, found.config.data)
        data, joined = rows.data, rows.joined
    tempering = _collect_logits(found, data, joined, model)
    result = tempering.fit_temperature()
    decision = tempering.convert_decision(job.decision, result.temperature)
    scale_logits = functools.partial(
        _scale_logits,
        found=found,
        model=model,
        temperature=result.temperature,
        # Taken before the temperature changes the job.
        allowed=parity_check.choose_tolerance(job),
    )
    changed = dataclasses.replace(
        job,
        model=probability_network.apply_temperature(
            found.model, network, result.temperature
        ),
        decision=decision,
        proof=scale_logits(job.proof),
        quantization_reference=scale_logits(job.quantization_reference),
        temperature=_make_record(result, decision),
        shared={},  # Results kept for the uncalibrated model do not hold.
    )
    # A temperature below 1 enlarges what is rounded, too.
    return parity_check.measure_rounding(changed), result


def _scale_logits(
    proof: jobs.ParityReference | None,
    *,
    found: finished_run.FinishedRun,
    model: keras.Model,
    temperature: float,
    allowed: float,
) -> jobs.ParityReference | None:
    """Returns the reference with predictions at a temperature."""
    if proof is None:
        return None
    network, asked = found.task.network, proof.rows or proof.paths
    logits = np.concatenate([*_stream_logits(found, model, asked)])
    # First that the model is the evaluated one, then the change.
    _require_same(network.finish(logits), proof, allowed)
    # Section 4.2: softmax(logits / T); of independent labels the sigmoid.
    changed = network.finish(logits / temperature)
    return dataclasses.replace(proof, predictions=changed)


def _load_own_data(
    found: finished_run.FinishedRun,
    inspected: scan.InspectedPictures,
    cache_dir: str,
) -> examples.ImageData:
    """Returns the run's own pictures; requires a validation split."""
    problems = verification.decode_pictures(
        inspected.pictures,
        cache_dir=pathlib.Path(cache_dir).expanduser(),
        square=found.square,
    )
    data = run_evaluation.divide_own_data(
        found, inspected, problems, found.config.data
    )
    if "validation" not in data.splits:
        raise errors.DataError(
            "--calibrate needs validation pictures, and the run in "
            f"{found.place.path} has none."
        )
    return data


def _collect_logits(
    found: finished_run.FinishedRun,
    data: examples.ImageData,
    joined: "Mapping[str, input_rows.JoinedRows]",
    model: keras.Model,
) -> certainty.TemperatureScaling:
    """Returns temperature scaling that has seen the validation logits."""
    asked = run_evaluation.list_examples(data, joined, "validation")
    tempering = found.task.certainty.create_temperature_scaling(
        found.class_names, len(asked), seed=found.config.seed
    )
    targets = found.task.network.targets(
        data, "validation", config=found.config, image_size=found.image_size
    )
    batches = _stream_logits(found, model, asked)
    truth = target_rows.batch_in_order(targets, _BATCH_SIZE).as_numpy_iterator()
    for logits, expected in zip(batches, truth, strict=True):
        tempering.add(logits, expected)
    return tempering


def _stream_logits(
    found: finished_run.FinishedRun,
    model: keras.Model,
    asked: "Sequence[str] | Sequence[input_rows.Row]",
) -> Iterator[np.ndarray]:
    return found.predict(asked, batch_size=_BATCH_SIZE, model=model)


def _make_record(
    result: temperature_scaling.Calibration, decision: Mapping[str, Any]
) -> dict[str, Any]:
    found = dataclasses.asdict(result)
    return {**found, "decision": dict(decision)} if decision else found


def _require_same(
    probabilities: np.ndarray, proof: jobs.ParityReference, allowed: float
) -> None:
    difference = np.abs(probabilities - proof.predictions).max()
    if not difference <= allowed:
        raise errors.RunError(
            "The model's probabilities differ from those of its evaluation by "
            f"up to {difference:.2g}; it was not calibrated. Evaluate the run "
            "again; if it was not changed since, "
            f"{export_refusal.describe_report_address()}."
        )
