"""Files of TensorFlow Serving: a model's name, its batching, warm-up requests.

The first two are text protocol buffers: `tensorflow_model_server
--model_config_file=model.config --enable_batching
--batching_parameters_file=batching_parameters.txt`. The values are measured on
the machine that exports; for another one, export again there.

Source: github.com/tensorflow/serving, tensorflow_serving/batching/README.md
and g3doc/serving_config.md.
"""

import dataclasses
import math
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tf_finetune import files
from tf_finetune.exports import export_files

# Rows of the batches that are timed.
_BATCH_SIZES = (1, 2, 4, 8, 16, 32)
# Share of the highest rate that is enough: a smaller batch answers sooner.
_SUFFICIENT_RATE = 0.95
# The quickest of so many calls counts: others of the machine only slow it down.
_REPETITIONS = 3
# Computing time of a full queue; requests beyond it are refused at once.
_QUEUE_SECONDS = 1.0
# Limit of all requests together, see `write_requests`.
_MAX_BYTES = 16_000_000
# Wire type of strings, bytes and embedded messages.
_LENGTH_DELIMITED = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchTiming:
    """Time that the computation of a batch takes.

    Attributes:
        batch_size: Pictures, or rows of a table, in the batch.
        seconds: Time for the whole batch.
    """

    batch_size: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.batch_size / self.seconds


def time_batches(
    answer: Callable[[list[Any]], object],
    rows: Sequence[Any],
    *,
    budget_seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[BatchTiming]:
    """Times batches of 1, 2, 4 … 32 rows.

    Args:
        answer: Computes the outputs of a list of rows and waits for them.
        rows: Real inputs, used in turn; at least one.
        budget_seconds: No larger batch is begun after this time, and none is
            begun that would likely exceed it.
        clock: Returns the time in seconds.

    Returns:
        One timing for each batch size, the smallest first and always there;
        each is the quickest of up to three calls.
    """
    start = clock()
    found: list[BatchTiming] = []
    for size in _BATCH_SIZES:
        # Two calls, one to warm up and one that is timed, each expected to take
        # twice as long as those of half the size.
        ahead = 4 * found[-1].seconds if found else 0.0
        if clock() - start + ahead > budget_seconds and found:
            break
        batch = [rows[i % len(rows)] for i in range(size)]
        answer(batch)
        best = math.inf
        for _ in range(_REPETITIONS):
            begun = clock()
            answer(batch)
            best = min(best, clock() - begun)
            if clock() - start > budget_seconds:
                break
        found.append(BatchTiming(batch_size=size, seconds=best))
    return found


def choose_batch(measured: Sequence[BatchTiming]) -> BatchTiming:
    """Returns the smallest batch whose rate is within 5 % of the highest.

    Args:
        measured: Timings, the smallest batch first; at least one.
    """
    highest = max(each.rate for each in measured)
    return next(
        each for each in measured if each.rate >= _SUFFICIENT_RATE * highest
    )


def render_batching_parameters(
    measured: Sequence[BatchTiming], *, cores: int, kind: str
) -> str:
    """Renders the contents of TensorFlow Serving's `batching_parameters.txt`.

    Args:
        measured: The result of `time_batches`.
        cores: The number of CPU cores.
        kind: The name of rows in a comment, such as "encoded pictures".
    """
    best = choose_batch(measured)
    wait = measured[0].seconds / 2
    queued = max(cores, int(_QUEUE_SECONDS / best.seconds))
    lines = [f"# Measured while exporting, {kind} on this machine:"]
    lines += [
        f"#   batch of {each.batch_size:>2}: {each.rate:7.1f} per second, "
        f"{1000 * each.seconds:.1f} ms"
        for each in measured
    ]
    lines += [
        "# The smallest batch within 5 % of the highest rate.",
        f"max_batch_size {{ value: {best.batch_size} }}",
        "# A single row waits for others half its own computing time.",
        f"batch_timeout_micros {{ value: {round(1e6 * wait)} }}",
        "# One per core.",
        f"num_batch_threads {{ value: {cores} }}",
        "# Batches computed in a second; further ones are refused at once.",
        f"max_enqueued_batches {{ value: {queued} }}",
    ]
    return "\n".join(lines) + "\n"


def render_model_config(name: str) -> str:
    """Renders the contents of TensorFlow Serving's `model.config`.

    Args:
        name: The model's name on the server; letters, digits, - and _.
    """
    return (
        "# The folder of versions, as TensorFlow Serving's container expects "
        "it.\n"
        "model_config_list {\n"
        "  config {\n"
        f'    name: "{name}"\n'
        f'    base_path: "/models/{name}"\n'
        '    model_platform: "tensorflow"\n'
        "  }\n"
        "}\n"
    )


def write_settings(folder: pathlib.Path, name: str, parameters: str) -> None:
    """Writes `model.config` and `batching_parameters.txt`, atomically.

    Args:
        folder: The folder of versions; existing files are replaced.
        name: The model's name on the server.
        parameters: Contents of `batching_parameters.txt`.
    """
    files.write_text(
        folder / export_files.MODEL_CONFIG, render_model_config(name)
    )
    files.write_text(folder / export_files.BATCHING_PARAMETERS, parameters)


def write_requests(
    version: pathlib.Path,
    inputs: Mapping[str, np.ndarray],
    *,
    model: str,
    signature: str,
    largest_batch: int,
) -> int:
    """Writes warm-up requests of 1, 2, 4, 8 … rows into a SavedModel.

    TensorFlow Serving runs them while it loads a version: the first request of
    each batch size takes many times as long as later ones.

    Args:
        version: The folder of the SavedModel; gets `assets.extra/`.
        inputs: Real inputs, [rows, …] by name, used in turn.
        model: The model's name on the server.
        signature: The name of the signature that takes the inputs.
        largest_batch: Limit of a request's rows; where all requests together
            would exceed 16 MB, the larger ones are left out.

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
    """Encodes a request as a `PredictionLog`, the record of a warm-up file.

    By hand, because tensorflow-serving-api, which has the official classes,
    pulls a second TensorFlow over `tensorflow-cpu`; a test reads the file with
    those classes. Field numbers never change in protocol buffers:

        PredictionLog    6 predict_log
        PredictLog       1 request
        PredictRequest   1 model_spec   2 inputs (map: 1 key, 2 TensorProto)
        ModelSpec        1 name         3 signature_name

    Args:
        inputs: Inputs of one batch, [rows, …] by name; bytes have dtype object.
        model: The model's name on the server.
        signature: The name of the signature that takes the inputs.

    Returns:
        The serialized message.

    Source: github.com/tensorflow/serving, tensorflow_serving/apis/
    {prediction_log,predict,model}.proto; "SavedModel Warmup" in its g3doc.
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
