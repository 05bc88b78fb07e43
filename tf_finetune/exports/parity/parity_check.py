"""Parity check: an export must reproduce the evaluation's predictions."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune import files
from tf_finetune.data.images import decoding
from tf_finetune.exports import export_files, float32_model
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import export_refusal, fresh_process
from tf_finetune.inputs import input_rows, pictures
from tf_finetune.model import inference

# The evaluation computes in float32 with batch norm folded into convolutions
# (fast_batch_norm.py), a `.keras` file by Keras' formula, a SavedModel with
# batch norm folded in float64: the same function, rounded in other places.
# Measured between the first two on a CPU, 32 pictures at 224 pixels, logits
# spread by a head with a standard deviation of 3 (0.4 in brackets):
#     MobileNet 0.25, ImageNet weights      6.5e-6  (1.4e-6)
#     MobileNetV2, ImageNet weights         3.7e-6  (7.2e-7)
#     DenseNet121, random weights           3.7e-6  (5.7e-7)
#     MobileNetV2, random weights           4.3e-5  (1.1e-5)
#     ResNet50, random weights              6.0e-5  (1.7e-5)
#     InceptionV3, random weights           9.0e-5  (1.3e-5)
#     EfficientNetB0, random weights        1.4e-4  (1.1e-4)
# No number between the first and the last suits both. So a network that rounds
# more is allowed more, in proportion to its measured rounding.
TOLERANCE = 1e-5
"""Allowed difference for a network that rounds no more than most."""

# Sums run over the features of all pictures of a row and of its columns.
_ROWS_TOLERANCE = 1e-4
# The export is a third computation, and in batches of another size.
_ROUNDING_FACTOR = 4
# A larger difference is no longer rounding. A mistake does a hundred times
# more: swapped color channels move the predictions of MobileNet 0.25 by 0.16
# in the mean.
LARGEST_TOLERANCE = 1e-3
# float16 has 11 bits; a network trained in it differs from its float32 copy
# by about 1e-2.
MIXED_TOLERANCE = 3e-2


def choose_tolerance(job: jobs.ExportJob) -> float:
    """Returns the largest allowed difference of a prediction, in `job.unit`.

    More is allowed for a model of table rows, for one in mixed precision, and
    in proportion to `job.rounding`, up to 1e-3.
    """
    if not float32_model.is_float32(job.model):
        return MIXED_TOLERANCE
    rounding = _ROUNDING_FACTOR * job.rounding
    least = _ROWS_TOLERANCE if job.inputs else TOLERANCE
    return min(max(least, rounding), LARGEST_TOLERANCE)


def compute_units(predictions: np.ndarray) -> np.ndarray:
    """Computes the scale of differences of each output.

    It is the output's range over the pictures, but at least 1 % of its largest
    value, because float32 rounds large numbers more. Not one scale for all:
    an error of a small target would vanish beside a large one.

    Args:
        predictions: [n, outputs], numbers of any size, n at least 1.

    Returns:
        Positive float64 [outputs], to divide differences by.
    """
    values = np.asarray(predictions, "float64")
    # A constant output has the range 0; 1e-30 avoids the division by it.
    least = 1e-2 * np.abs(values).max(axis=0)
    return np.maximum(np.maximum(np.ptp(values, axis=0), least), 1e-30)


def measure_rounding(job: jobs.ExportJob) -> jobs.ExportJob:
    """Measures a model's rounding on the pictures of `job.proof`.

    Its probabilities are computed by Keras and by the compiled step of the
    evaluation; the stored predictions of the evaluation are not used, so that
    a wrong model cannot widen its own tolerance.

    Returns:
        A copy of the job with the largest difference, in `job.unit`, as
        `rounding`; the job itself if its model is in mixed precision.
    """
    if not float32_model.is_float32(job.model):
        return job
    compiled = inference.compile_step(job.model)
    largest = 0.0
    for part in job.proof.batches():
        given = load_batch(part, job)
        by_keras = job.model.predict_on_batch(given)
        answer = np.asarray(inference.apply_step(compiled, given))
        difference = np.abs(by_keras.astype("float64") - answer) / job.unit
        largest = max(largest, float(difference.max()))
    return dataclasses.replace(job, rounding=largest)


def check_predictions(
    name: str,
    answers: Mapping[str, np.ndarray],
    job: jobs.ExportJob,
    *,
    allowed: float,
    instead: Sequence[str] = (),
) -> dict[str, Any]:
    """Checks an export's predictions against the evaluation's.

    Args:
        name: Of the export, for messages.
        answers: By signature or runtime, predictions [pictures, …, outputs];
            at least one.
        job: Its `proof` has the expected predictions.
        allowed: The largest difference of a prediction, in `job.unit`.
        instead: Formats to suggest if the export is refused, best first.

    Returns:
        Figures for `parity.json`: `pictures` (and `rows`), `tolerance`,
        `rounding`, `temperature` if calibrated, and for each key of `answers`
        the figures of `compare_predictions`.

    Raises:
        ExportRefusedError: A prediction differs by more, or there are none.
    """
    if not answers:
        raise export_refusal.ExportRefusedError(
            f"The export {name} returns no predictions."
        )
    figures: dict[str, Any] = {
        **job.proof.counts,
        "tolerance": allowed,
        "rounding": job.rounding,
        **describe_calibration(job),
    }
    for way, got in answers.items():
        compared = compare_predictions(
            job.proof.predictions, got, unit=job.unit
        )
        _require_within(f"{name} ({way})", compared, allowed, instead)
        figures[way] = compared
    return figures


def describe_calibration(job: jobs.ExportJob) -> dict[str, Any]:
    """Returns `{"temperature": job.temperature}`; {} if not calibrated."""
    return {"temperature": dict(job.temperature)} if job.temperature else {}


def compare_predictions(
    expected: np.ndarray, got: np.ndarray, *, unit: float | np.ndarray = 1.0
) -> dict[str, float]:
    """Measures how far predictions of an export are from those expected.

    Args:
        expected: [pictures, …, outputs].
        got: Predictions of the export, of the same shape.
        unit: Divides differences: one number for all outputs, or [outputs].

    Returns:
        `max_abs_difference` and `mean_abs_difference` in `unit`; and, if `unit`
        is one number (probabilities), `top_1_agreement`, the share of pictures
        or pixels with the same likeliest class.

    Raises:
        ExportRefusedError: Shapes differ, or `got` has NaN or infinity.
    """
    # float64: the difference itself must not be rounded.
    expected = np.asarray(expected, dtype="float64")
    got = np.asarray(got, dtype="float64")
    if expected.shape != got.shape or not np.isfinite(got).all():
        raise export_refusal.ExportRefusedError(
            f"The export returns predictions of shape {got.shape} where the "
            f"evaluation has {expected.shape}, or NaN or infinite numbers."
        )
    difference = np.abs(expected - got) / unit
    found = {
        "max_abs_difference": float(difference.max()),
        "mean_abs_difference": float(difference.mean()),
    }
    # Several units: numbers, of which none is the likeliest class.
    if np.ndim(unit):
        return found
    same = np.argmax(expected, axis=-1) == np.argmax(got, axis=-1)
    return {**found, "top_1_agreement": float(same.mean())}


def decode_images(contents: list[bytes], job: jobs.ExportJob) -> np.ndarray:
    """Decodes file contents to RGB 0..255, float32 [n, size, size, 3]."""
    pictures = [decoding.load_bytes(each, job.square) for each in contents]
    return np.stack([np.asarray(picture) for picture in pictures])


def load_inputs(
    proof: jobs.ParityReference, job: jobs.ExportJob
) -> dict[str, np.ndarray]:
    """Loads the inputs of a model as arrays by name, pictures decoded.

    Returns:
        For single pictures `images`, float32 [n, size, size, 3]; for rows an
        array [rows, …] for each of `job.inputs`, of float32 or strings.
    """
    if not proof.rows:
        return {"images": _decode_files(proof.paths, job)}
    found = input_rows.stack_rows(job.inputs, proof.rows)
    paths = found[pictures.NAME]
    images = _decode_files(paths.ravel(), job)
    found[pictures.NAME] = images.reshape(*paths.shape, *images.shape[1:])
    # Plain arrays, which NumPy's files hold.
    return {
        name: each.astype("float32" if each.dtype.kind == "f" else str)
        for name, each in found.items()
    }


def load_batch(
    proof: jobs.ParityReference, job: jobs.ExportJob
) -> np.ndarray | dict[str, np.ndarray]:
    """Loads the input of a job's model, to be given to it as one batch.

    Returns:
        float32 [n, size, size, 3] for single pictures; for table rows the
        arrays of `load_inputs`.
    """
    found = load_inputs(proof, job)
    return found if proof.rows else found["images"]


def load_requests(
    proof: jobs.ParityReference, job: jobs.ExportJob
) -> dict[str, np.ndarray]:
    """Loads the fields of a served request as arrays by name.

    Returns:
        `image_bytes` of single pictures, object [n] of file contents; for table
        rows an array [rows, …] for each field.
    """
    if proof.rows:
        return input_rows.stack_requests(job.inputs, proof.rows)
    contents = [pathlib.Path(path).read_bytes() for path in proof.paths]
    return {"image_bytes": fresh_process.make_string_array(contents)}


def _decode_files(paths: Sequence[str], job: jobs.ExportJob) -> np.ndarray:
    contents = [pathlib.Path(path).read_bytes() for path in paths]
    return decode_images(contents, job)


def write_figures(path: pathlib.Path, figures: Mapping[str, Any]) -> None:
    """Writes figures to `parity.json` in the folder of an export.

    The file name of `path`, the export, is the key; an earlier entry of that
    name is replaced.
    """
    known = export_refusal.read_parity_file(path.parent)
    place = path.parent / export_files.PARITY
    files.write_json(place, {**known, path.name: dict(figures)})


def read_figures(path: pathlib.Path) -> Mapping[str, Any]:
    """Reads the recorded comparison of an exported file; {} without one."""
    return export_refusal.read_parity_file(path.parent).get(path.name, {})


def _require_within(
    name: str,
    compared: Mapping[str, float],
    allowed: float,
    instead: Sequence[str] = (),
) -> None:
    if compared["max_abs_difference"] <= allowed:
        return
    agreement = compared.get("top_1_agreement")
    classes = ""
    if agreement is not None:
        classes = f", the same class for {agreement:.1%} of the pictures"
    raise export_refusal.ExportRefusedError(
        f"The export {name} differs from the evaluation: predictions by up "
        f"to {compared['max_abs_difference']:.2g} (allowed {allowed:.0e})"
        f"{classes}. It has been removed.",
        more="A format with the same float32 weights may differ by rounding "
        "only, so no flag allows a larger difference; "
        f"{export_refusal.describe_report_address()}.",
        instead=instead,
        largest=compared["max_abs_difference"],
    )
