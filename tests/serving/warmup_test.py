"""Tests of tf_finetune/serving/warmup.py with the official stubs."""

import pytest

pytest.importorskip("tensorflow_serving")
tf = pytest.importorskip("tensorflow")

from tensorflow_serving.apis import prediction_log_pb2  # noqa: E402

from tf_finetune.serving import failures, warmup  # noqa: E402


class Noting:
    """A service that notes what it is asked."""

    def __init__(self):
        self.requested_config = []

    def predict(self, signature, inputs):
        self.requested_config.append((signature, inputs["text"].tolist()))
        if b"bad" in inputs["text"].tolist():
            raise failures.RequestError(400, "bad")


def _log(*texts):
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = "serving_default"
    tensor = tf.make_tensor_proto(list(texts))
    request.inputs["text"].CopyFrom(tensor)
    return log.SerializeToString()


@pytest.fixture
def write(tmp_path):
    """A function that writes records where an export has them."""

    def call(*records):
        place = tmp_path / "assets.extra" / "tf_serving_warmup_requests"
        place.parent.mkdir()
        with tf.io.TFRecordWriter(str(place)) as writer:
            for record in records:
                writer.write(record)
        return place

    return call


def test_every_request_is_sent(write, tmp_path):
    write(_log(b"a"), _log(b"b", b"c"))
    served = Noting()
    assert warmup.send_requests(served, tmp_path) == 2
    assert served.requested_config == [
        ("serving_default", [b"a"]),
        ("serving_default", [b"b", b"c"]),
    ]


def test_one_that_fails_does_not_keep_the_others(write, tmp_path):
    write(_log(b"bad"), b"\xff\xff\xff", _log(b"c"))
    assert warmup.send_requests(Noting(), tmp_path) == 1


def test_a_type_that_no_array_has_does_not_keep_the_others(write, tmp_path):
    log = prediction_log_pb2.PredictionLog.FromString(_log(b"a"))
    log.predict_log.request.inputs["text"].dtype = 99
    write(log.SerializeToString(), _log(b"c"))
    assert warmup.send_requests(Noting(), tmp_path) == 1


def test_a_damaged_file_keeps_nobody_from_serving(write, tmp_path):
    place = write(_log(b"a"), _log(b"b"))
    place.write_bytes(place.read_bytes()[:-7])
    assert warmup.send_requests(Noting(), tmp_path) == 1


def test_an_export_without_them_is_served_cold(tmp_path):
    assert warmup.send_requests(Noting(), tmp_path) == 0
