"""Calls of a SavedModel's signatures in a process without this package."""

import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.exports.parity import export_refusal, fresh_process
from tf_finetune.exports.saved_model import saved_model_proto


def call_signatures(
    folder: pathlib.Path,
    title: str,
    inputs: Mapping[str, Mapping[str, np.ndarray]],
    *,
    variables: int,
    batch_size: int,
) -> dict[str, np.ndarray]:
    """Calls every signature in a separate process.

    Args:
        folder: The SavedModel.
        title: Its name in messages.
        inputs: By signature, arrays by name, of readable pictures. Signatures
            that the SavedModel lacks are left out.
        variables: The number of variables that it must track.
        batch_size: Rows at once.

    Returns:
        Arrays by SIGNATURE/OUTPUT.

    Raises:
        RunError: It reports an error for an input, cannot be called, or does
            not track all variables.
    """
    known = saved_model_proto.read_methods(folder)
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
        if output == "error":
            _require_no_errors(f"{title} ({signature})", got)
    return answers


def encode_example(row: Mapping[str, np.ndarray]) -> bytes:
    """Serializes a row as a `tf.train.Example`.

    Args:
        row: By feature, numbers or objects of bytes, [values] each.
    """
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: _encode_feature(values) for name, values in row.items()
            }
        )
    ).SerializeToString()


def encode_examples(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Serializes rows as `tf.train.Example` messages, [rows].

    Args:
        inputs: By feature, [rows] or [rows, values].
    """
    count = len(next(iter(inputs.values())))
    return fresh_process.make_string_array(
        [
            encode_example(
                {k: v[row : row + 1].reshape(-1) for k, v in inputs.items()}
            )
            for row in range(count)
        ]
    )


def _require_no_errors(name: str, faults: np.ndarray) -> None:
    told = [each.decode(errors="replace") for each in faults if each]
    if told:
        raise errors.RunError(
            f"The export {name} reports errors for pictures that the "
            f"evaluation could read: {told[0]}. It has been removed; "
            f"{export_refusal.describe_report_address()}."
        )


def _encode_feature(values: np.ndarray) -> tf.train.Feature:
    if values.dtype == object:
        texts = tf.train.BytesList(value=values.tolist())
        return tf.train.Feature(bytes_list=texts)
    numbers = tf.train.FloatList(value=values.tolist())
    return tf.train.Feature(float_list=numbers)
