"""Warm-up requests, read back with TensorFlow and the official classes."""

import pathlib

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from tf_finetune.exports import export_files  # noqa: E402
from tf_finetune.exports.parity import fresh_process  # noqa: E402
from tf_finetune.exports.saved_model import server_settings  # noqa: E402


def _records(version):
    return [
        each.numpy()
        for each in tf.data.TFRecordDataset(
            str(version / export_files.WARM_UP_REQUESTS)
        )
    ]


def _write(version, paths, **changes):
    contents = [pathlib.Path(path).read_bytes() for path in paths]
    return _write_inputs(
        version,
        {"image_bytes": fresh_process.make_string_array(contents)},
        **changes,
    )


def _write_inputs(version, inputs, **changes):
    settings = {
        "model": "ants_or_bees",
        "signature": "serving_default",
        "largest_batch": 8,
    }
    return server_settings.write_requests(
        version, inputs, **{**settings, **changes}
    )


def test_a_request_has_the_bytes_of_the_wire_format():
    got = server_settings.encode_request(
        {"image_bytes": fresh_process.make_string_array([b"\xff"])},
        model="m",
        signature="s",
    )

    # TensorProto: dtype DT_STRING, a shape of one dimension of 1, one string.
    tensor = b"\x08\x07" + b"\x12\x04\x12\x02\x08\x01" + b"\x42\x01\xff"
    entry = b"\x0a\x0bimage_bytes" + b"\x12" + bytes([len(tensor)]) + tensor
    spec = b"\x0a\x01m" + b"\x1a\x01s"
    request = b"\x0a" + bytes([len(spec)]) + spec
    request += b"\x12" + bytes([len(entry)]) + entry
    log = b"\x0a" + bytes([len(request)]) + request
    assert got == b"\x32" + bytes([len(log)]) + log


def test_the_official_classes_read_every_request(pictures, tmp_path):
    # Installed without the TensorFlow it asks for: setup.cfg, `serving`.
    prediction_log_pb2 = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2"
    )

    assert _write(tmp_path, pictures) == 4

    contents = [pathlib.Path(path).read_bytes() for path in pictures]
    seen = []
    for record in _records(tmp_path):
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "ants_or_bees"
        assert request.model_spec.signature_name == "serving_default"
        assert list(request.inputs) == ["image_bytes"]
        seen.append(tf.make_ndarray(request.inputs["image_bytes"]).tolist())
        # Nothing was written that the classes do not know.
        assert log.SerializeToString() == record
    assert [len(each) for each in seen] == [1, 2, 4, 8]
    assert sum(seen, []) == (contents * 3)[:15]


def test_rows_of_several_inputs_are_sent_by_name(tmp_path):
    prediction_log_pb2 = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2"
    )
    inputs = {
        "words": fresh_process.make_string_array([b"a", b"b", b"c"]).reshape(
            3, 1
        ),
        "image_bytes": fresh_process.make_string_array(
            [b"\0", b"1", b"2", b"3", b"4", b"5"]
        )
        .reshape(3, 2),
        "numbers": np.array([[1.5], [np.nan], [2]], "float32"),
    }  # fmt: skip

    assert _write_inputs(tmp_path, inputs, largest_batch=4) == 3

    turns = [[0], [1, 2], [0, 1, 2, 0]]
    for record, places in zip(_records(tmp_path), turns, strict=True):
        log = prediction_log_pb2.PredictionLog.FromString(record)
        sent = log.predict_log.request.inputs
        assert set(sent) == set(inputs)
        for name, array in inputs.items():
            got = tf.make_ndarray(sent[name])
            assert got.dtype == array.dtype
            np.testing.assert_array_equal(got, array[places])
        # In the order of the names, not of what was given.
        assert log.SerializeToString(deterministic=True) == record


def test_large_pictures_make_fewer_requests_but_one(tmp_path):
    path = tmp_path / "large.jpg"
    path.write_bytes(b"\xff" * 5_000_000)

    assert _write(tmp_path, [path]) == 2
    assert len(_records(tmp_path)) == 2

    path.write_bytes(b"\xff" * 20_000_000)
    assert _write(tmp_path, [path]) == 1
