"""Parity check of every signature of a SavedModel, in a fresh process."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.data.images import decoding
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import (
    export_refusal,
    fresh_process,
    parity_check,
)
from tf_finetune.exports.saved_model import (
    image_signatures,
    served_inputs,
    serving_network,
)
from tf_finetune.model import inference
from tf_finetune.tasks import catalog as tasks

# A feature is a mean over sums of many products; rounding is relative to the
# largest of them. Measured: 3e-6 for MobileNetV2 with batch norm folded.
_RELATIVE_TOLERANCE = 1e-4
# Signatures of every model.
_REQUIRED_SIGNATURES = (image_signatures.DEFAULT, image_signatures.ARRAY)


def check_signatures(
    folder: pathlib.Path,
    title: str,
    inputs: dict[str, np.ndarray],
    job: jobs.ExportJob,
    *,
    variables: int,
) -> dict[str, Any]:
    """Runs every signature in a fresh process and checks its outputs.

    Args:
        folder: The SavedModel.
        title: Its name in messages.
        inputs: Fields of the default signature, [rows, …] by name.
        job: Its `proof` has the expected predictions of these rows.
        variables: The number of variables that its functions read.

    Returns:
        The figures for `parity.json`.

    Raises:
        RunError: A signature cannot be run, or an output differs from the
            evaluation's or does not follow from the predictions.
    """
    answers = _call_with_proof(folder, title, inputs, job, variables=variables)
    task = tasks.TASKS.get(job.task)
    # Predictions under every name that they have in a signature; the outputs
    # that follow from them are checked below.
    compared = (*task.network.parity_outputs, "scores", "outputs")
    figures = parity_check.check_predictions(
        title,
        {
            key.partition("/")[0]: each
            for key, each in answers.items()
            if key.endswith(tuple(f"/{each}" for each in compared))
        },
        job,
        allowed=parity_check.choose_tolerance(job),
    )
    _require_class_names(title, answers, job)
    _require_consistent(title, answers, job)
    if job.out_of_distribution:
        figures["ood_score"] = _compare_ood_scores(title, answers, job)
    if task.files_at:
        contents = list(next(iter(inputs.values())))
        figures |= _compare_restored(answers, contents, job)
    features = answers.get(f"{image_signatures.EMBED}/features")
    if features is not None:
        pooled = serving_network.find_features(job.model)
        figures[image_signatures.EMBED] = _require_close(
            f"{title} ({image_signatures.EMBED})",
            features,
            _predict(job.model, pooled, job),
            job,
        )
    return figures


def _call_with_proof(
    folder: pathlib.Path,
    title: str,
    inputs: dict[str, np.ndarray],
    job: jobs.ExportJob,
    *,
    variables: int,
) -> dict[str, np.ndarray]:
    """Calls every signature on the job's pictures; as `call_signatures`."""
    _, *others = inputs
    arrays = {
        "images": parity_check.load_inputs(job.proof, job)["images"],
        **{name: inputs[name] for name in others},
    }
    examples = {"inputs": served_inputs.encode_examples(inputs)}
    task = tasks.TASKS.get(job.task)
    # Signatures whose outputs have the pictures' own sizes.
    restored = task.network.signature_functions if task.files_at else ()
    return call_signatures(
        folder,
        title,
        {
            image_signatures.DEFAULT: inputs,
            image_signatures.ARRAY: arrays,
            image_signatures.EMBED: inputs,
            **dict.fromkeys(restored, inputs),
            **dict.fromkeys(image_signatures.METHODS, examples),
        },
        variables=variables,
        batch_size=job.proof.batch_size,
    )


def call_signatures(
    folder: pathlib.Path,
    title: str,
    inputs: Mapping[str, Mapping[str, np.ndarray]],
    *,
    variables: int,
    batch_size: int,
) -> dict[str, np.ndarray]:
    """Calls every signature of a SavedModel in a fresh process.

    Args:
        folder: The SavedModel.
        title: Its name in messages.
        inputs: By signature, arrays by name, of readable pictures. Signatures
            that the SavedModel lacks are left out.
        variables: The number of variables that it must track.
        batch_size: Rows of one call.

    Returns:
        Output arrays by "SIGNATURE/OUTPUT".

    Raises:
        RunError: A signature reports an error for an input or cannot be called,
            or not all variables are tracked.
    """
    known = image_signatures.read_methods(folder)
    given = {
        f"{signature}/{name}": array
        for signature, arrays in inputs.items()
        if signature in known
        for name, array in arrays.items()
    }
    answers = fresh_process.run_script(
        fresh_process.RUNTIMES / "saved_model.py",
        folder,
        {
            **given,
            "variables": np.array(variables),
            "batch_size": np.array(batch_size),
        },
    )
    # All pictures were read by the evaluation, so any error is the export's.
    for key, got in answers.items():
        signature, _, output = key.partition("/")
        if output == "error" and (faults := [each for each in got if each]):
            raise _make_error(
                f"{title} ({signature})",
                "reports errors for pictures that the evaluation could read: "
                f"{faults[0].decode(errors='replace')}",
            )
    return answers


def _require_class_names(
    name: str, answers: dict[str, np.ndarray], job: jobs.ExportJob
) -> None:
    """Raises `RunError` unless `classes` names the likeliest class."""
    names = np.array(job.class_names, dtype=object)
    for signature in _REQUIRED_SIGNATURES:
        if f"{signature}/classes" not in answers:
            continue
        best = np.argmax(answers[f"{signature}/probabilities"], axis=1)
        # Names of folders that are not UTF-8 travel as their bytes.
        got = [
            os.fsdecode(each) for each in answers[f"{signature}/classes"].flat
        ]
        if list(names[best]) != got:
            raise _make_error(
                f"{name} ({signature})",
                "returns classes that are not the most likely ones",
            )


def _require_consistent(
    name: str, answers: dict[str, np.ndarray], job: jobs.ExportJob
) -> None:
    """Raises `RunError` unless other outputs follow from the predictions."""
    task = tasks.TASKS.get(job.task).with_decision(job.decision).network
    for signature in _REQUIRED_SIGNATURES:
        predictions = answers.get(f"{signature}/{task.parity_outputs[0]}")
        if predictions is None:
            continue
        said = task.serve(tf.constant(predictions), job.class_names)
        for output, expected in said.items():
            is_array = signature == image_signatures.ARRAY
            if is_array and output in task.text_outputs:
                continue
            got = answers[f"{signature}/{output}"]
            if not _is_equal(got, expected.numpy()):
                raise _make_error(
                    f"{name} ({signature})",
                    f"returns {output} that do not follow from its predictions",
                )


def _is_equal(got: np.ndarray, expected: np.ndarray) -> bool:
    if got.dtype.kind == "f":
        return np.allclose(got, expected, rtol=0, atol=1e-6)
    return np.array_equal(got, expected)


def _compare_ood_scores(
    name: str,
    answers: dict[str, np.ndarray],
    job: jobs.ExportJob,
) -> dict[str, float]:
    """Compares OOD scores with those computed from the logits."""
    task = tasks.TASKS.get(job.task)
    logits = _predict(job.model, task.network.find_logits(job.model), job)
    expected = task.certainty.ood_score(tf.constant(logits)).numpy()
    got = [answers[f"{way}/ood_score"] for way in _REQUIRED_SIGNATURES]
    return _require_close(f"{name} (ood_score)", np.stack(got), expected, job)


def _compare_restored(
    answers: dict[str, np.ndarray], contents: list[bytes], job: jobs.ExportJob
) -> dict[str, dict[str, float]]:
    """Compares outputs of the pictures' own sizes; returns new figures."""
    of_signature: dict[str, dict[str, np.ndarray]] = {}
    for key, each in answers.items():
        signature, _, output = key.partition("/")
        of_signature.setdefault(signature, {})[output] = each
    return tasks.TASKS.get(job.task).network.check_signatures(
        of_signature,
        job.proof.predictions,
        np.stack([decoding.read_size(tf.constant(each)) for each in contents]),
        resize=job.resize,
        allowed=parity_check.choose_tolerance(job),
    )


def _predict(
    model: keras.Model, tensor: keras.KerasTensor, job: jobs.ExportJob
) -> np.ndarray:
    """Computes a tensor of a model's graph for the job's pictures."""
    return inference.predict(
        keras.Model(model.input, tensor),
        (parity_check.load_batch(e, job) for e in job.proof.batches()),
    )


def _require_close(
    name: str, got: np.ndarray, expected: np.ndarray, job: jobs.ExportJob
) -> dict[str, float]:
    """Compares numbers of any size; returns figures.

    Raises:
        RunError: They differ by more than the network rounds.
    """
    difference = np.abs(expected.astype("float64") - got)
    largest = float(np.abs(expected).max())
    # A network that rounds more than most is allowed more here, too, by the
    # same factor as for its predictions.
    tolerance = parity_check.choose_tolerance(job) / parity_check.TOLERANCE
    if not difference.max() <= _RELATIVE_TOLERANCE * tolerance * largest:
        raise errors.RunError(
            f"The export {name} differs from the network by up to "
            f"{difference.max():.2g}; the largest value is {largest:.2g}. "
            "It has been removed."
        )
    return {
        "max_abs_difference": float(difference.max()),
        "mean_abs_difference": float(difference.mean()),
        "largest": largest,
    }


def _make_error(name: str, fault: str) -> errors.RunError:
    return errors.RunError(
        f"The export {name} {fault}. It has been removed; "
        f"{export_refusal.describe_report_address()}."
    )
