"""Warm-up of a served model with the requests that its export contains.

TensorFlow is slow at the first request of each batch size. Needs the official
stubs, as gRPC does.

Source: https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

import pathlib

import tensorflow as tf
from absl import logging
from google.protobuf import message
from tensorflow_serving.apis import prediction_log_pb2

from tf_finetune import terminal_escapes
from tf_finetune.serving import failures, service

_FILE = pathlib.Path("assets.extra") / "tf_serving_warmup_requests"
_MAX_REQUESTS = 1000  # As many as TensorFlow Serving sends.


def send_requests(served: service.Service, folder: pathlib.Path) -> int:
    """Sends the warm-up requests of an export to the model, 1000 at most.

    A request that fails is logged and does not stop the server.

    Args:
        served: The model.
        folder: Its version's folder; it may have no warm-up requests.

    Returns:
        The number of requests that succeeded.
    """
    # A model from elsewhere may have no such file.
    if not (folder / _FILE).is_file():
        return 0
    answered = 0
    try:
        records = tf.data.TFRecordDataset(str(folder / _FILE))
        for record in records.take(_MAX_REQUESTS):
            answered += _send_request(served, record.numpy())
    except tf.errors.OpError as error:
        reason = terminal_escapes.escape(error.message)
        logging.warning("%s is damaged: %s", _FILE, reason)
    return answered


def _send_request(served: service.Service, record: bytes) -> bool:
    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        inputs = {
            name: tf.make_ndarray(tensor)
            for name, tensor in request.inputs.items()
        }
        served.predict(request.model_spec.signature_name, inputs)
    except (
        failures.RequestError, message.DecodeError,
        LookupError, TypeError, ValueError,
    ) as error:  # fmt: skip
        logging.warning(
            "A warm-up request failed: %s", terminal_escapes.escape(str(error))
        )
        return False
    return True
