"""Warm-up requests, which TensorFlow Serving runs while it loads a version.

The first request of each batch size takes many times as long as later ones;
these are run before the version is reported as available.

A record is a `PredictionLog`. Its few fields are encoded by hand, because the
package that has the official classes, tensorflow-serving-api, pulls a second
TensorFlow over `tensorflow-cpu`; a test reads the file with those classes.
Field numbers never change in protocol buffers:

    PredictionLog    6 predict_log
    PredictLog       1 request
    PredictRequest   1 model_spec   2 inputs (map: 1 key, 2 TensorProto)
    ModelSpec        1 name         3 signature_name

Source: github.com/tensorflow/serving, tensorflow_serving/apis/
{prediction_log,predict,model}.proto; "SavedModel Warmup" in its g3doc.
"""

import pathlib
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tf_finetune.exports import export_files

# Limit of all requests together, see `write_requests`.
_MAX_BYTES = 16_000_000
# Wire type of strings, bytes and embedded messages.
_LENGTH_DELIMITED = 2


def write_requests(
    version: pathlib.Path,
    inputs: Mapping[str, np.ndarray],
    *,
    model: str,
    signature: str,
    largest_batch: int,
) -> int:
    """Writes requests of 1, 2, 4, 8 … rows.

    Args:
        version: The folder of the SavedModel.
        inputs: Real inputs, [rows, …] by name, used in turn.
        model: The model's name on the server.
        signature: The name of the signature that takes the inputs.
        largest_batch: Rows of the largest request; where requests would
            come to more than 16 MB in all, the larger ones are left out.

    Returns:
        The number of requests, at least one.
    """
    place = version / export_files.WARM_UP_REQUESTS
    place.parent.mkdir(parents=True, exist_ok=True)
    written = size = 0
    # Not compressed: TensorFlow Serving reads plain TFRecords only.
    with tf.io.TFRecordWriter(str(place)) as writer:
        for batch in _iterate_batches(inputs, largest_batch):
            record = encode_request(batch, model=model, signature=signature)
            size += len(record)
            if written and size > _MAX_BYTES:
                break
            writer.write(record)
            written += 1
    return written


def encode_request(
    inputs: Mapping[str, np.ndarray], *, model: str, signature: str
) -> bytes:
    """Encodes a request as a PredictionLog.

    Args:
        inputs: Of one batch, [rows, …] by name; objects are bytes.
        model: The model's name on the server.
        signature: The name of the signature that takes the inputs.
    """
    request = _encode_field(
        1,
        _encode_field(1, model.encode()) + _encode_field(3, signature.encode()),
    )
    # In the order of the names, so that equal requests have equal bytes.
    for name, array in sorted(inputs.items()):
        tensor = _make_tensor(array).SerializeToString()
        request += _encode_field(
            2, _encode_field(1, name.encode()) + _encode_field(2, tensor)
        )
    return _encode_field(6, _encode_field(1, request))


def _make_tensor(array: np.ndarray) -> tensor_pb2.TensorProto:
    if array.dtype != object:
        return tf.make_tensor_proto(array)
    texts = array.ravel().tolist()
    return tf.make_tensor_proto(texts, tf.string, array.shape)


def _iterate_batches(
    inputs: Mapping[str, np.ndarray], largest: int
) -> Iterator[dict[str, np.ndarray]]:
    rows = len(next(iter(inputs.values())))
    count, next_one = 1, 0
    while count <= largest:
        places = np.arange(next_one, next_one + count) % rows
        yield {name: array[places] for name, array in inputs.items()}
        next_one += count
        count *= 2


def _encode_field(number: int, value: bytes) -> bytes:
    """Encodes a field of bytes in the wire format of protocol buffers."""
    tag = _encode_varint(number << 3 | _LENGTH_DELIMITED)
    return tag + _encode_varint(len(value)) + value


def _encode_varint(value: int) -> bytes:
    # Seven bits a byte, the lowest first; the top bit says that more follow.
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
