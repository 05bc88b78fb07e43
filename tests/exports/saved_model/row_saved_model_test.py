"""The SavedModel of whole rows, loaded the way a server loads it."""

import pathlib

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from tf_finetune import errors, files  # noqa: E402
from tf_finetune.exports import export_files  # noqa: E402
from tf_finetune.exports.parity import fresh_process  # noqa: E402
from tf_finetune.exports.saved_model import (  # noqa: E402
    image_saved_model,
    image_signatures,
    served_inputs,
    signature_checks,
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, build_row_job):
    """A version directory; the proof of it was passed."""
    folder = tmp_path_factory.mktemp("exports") / "export"
    return image_saved_model.write(build_row_job(folder))


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported)).signatures


def test_all_that_a_server_needs_lies_in_and_beside_the_version(exported):
    found = {
        str(path.relative_to(exported.parent))
        for path in exported.parent.rglob("*")
        if path.is_file()
    }
    assert found == {
        "1/assets.extra/tf_serving_warmup_requests",
        "1/assets/columns.json",
        "1/assets/labels.txt",
        "1/saved_model.pb",
        "1/variables/variables.data-00000-of-00001",
        "1/variables/variables.index",
        "batching_parameters.txt",
        "model.config",
        "parity.json",
    }
    assert files.read_json(exported / "assets" / "columns.json") == {
        "image_bytes": ["front", "back"],
        "numbers": ["area"],
        "words": ["place"],
        "values": ["price"],
    }
    assert (exported / "assets" / "labels.txt").read_text() == "price\n"
    beside = exported.parent
    assert 'name: "houses"' in (beside / "model.config").read_text()
    batching = (beside / "batching_parameters.txt").read_text()
    assert "max_batch_size {" in batching and "whole rows" in batching


def test_every_signature_was_proven_in_a_fresh_process(exported):
    assert image_signatures.read_methods(exported) == {
        "serving_default": "tensorflow/serving/predict",
        "serve_array": "tensorflow/serving/predict",
        "regress": "tensorflow/serving/regress",
    }
    figures = files.read_json(exported.parent / "parity.json")["1"]
    assert (figures["rows"], figures["pictures"]) == (5, 10)
    assert figures["batch_norms_folded"] == 0
    for signature in ("serving_default", "serve_array", "regress"):
        assert figures[signature]["max_abs_difference"] <= 1e-6


def test_warm_up_requests_are_rows_of_the_proof(exported, rows):
    prediction_log_pb2 = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2"
    )
    records = tf.data.TFRecordDataset(
        str(exported / export_files.WARM_UP_REQUESTS)
    )
    first = next(iter(records)).numpy()
    request = prediction_log_pb2.PredictionLog.FromString(first)
    sent = request.predict_log.request
    assert sent.model_spec.name == "houses"
    assert sent.model_spec.signature_name == "serving_default"
    inputs = {name: tf.make_ndarray(each) for name, each in sent.inputs.items()}
    contents = [pathlib.Path(each).read_bytes() for each in rows.paths[0]]
    assert inputs["image_bytes"].tolist() == [contents]
    assert inputs["numbers"].tolist() == [[1.0]]
    assert inputs["words"].tolist() == [[b"94501"]]


def test_a_server_is_warmed_up_by_every_request(exported):
    pytest.importorskip("tensorflow_serving")
    from tf_finetune.serving import batching, service, version_files, warmup

    served = service.Service(
        version_files.load_version(exported, name="houses"),
        batching.BatchLimits(
            max_batch_size=32,
            max_delay_seconds=0.0,
            max_queued_rows=64,
            max_batch_weight=1_000_000,
        ),
        max_pixels=1_000_000,
        max_answer_bytes=1 << 20,
    )
    records = list(
        tf.data.TFRecordDataset(str(exported / export_files.WARM_UP_REQUESTS))
    )
    assert warmup.send_requests(served, exported) == len(records) > 0
    served.close()


def _asked(loaded, rows, changes):
    """Asks for the first rows, each changed as it is said."""
    given = []
    for number, change in enumerate(changes):
        pictures = [pathlib.Path(p).read_bytes() for p in rows.paths[number]]
        row = {
            "image_bytes": pictures,
            "numbers": rows.numbers[number].tolist(),
            "words": [each.encode() for each in rows.words[number]],
        }
        given.append({**row, **change})
    inputs = {
        name: tf.constant([row[name] for row in given], kind)
        for name, kind in (
            ("image_bytes", tf.string),
            ("numbers", tf.float32),
            ("words", tf.string),
        )
    }
    answer = loaded["serving_default"](**inputs)
    errors_ = [each.decode() for each in answer["error"].numpy()]
    return answer["values"].numpy()[:, 0], errors_


def test_a_bad_picture_is_told_by_its_column_and_harms_no_other_row(
    loaded, rows
):
    good = pathlib.Path(rows.paths[1][0]).read_bytes()
    values, faults = _asked(
        loaded,
        rows,
        [
            {},
            {"image_bytes": [good, good[:60]]},
            {"image_bytes": [b"", b"text"]},
            {},
        ],
    )
    expected = rows.values[:4, 0] * [1, 0, 0, 1]
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert faults[0] == faults[3] == ""
    assert faults[1].startswith("back: a damaged PNG")
    assert faults[2].startswith("front: empty")
    assert "; back: not a JPEG" in faults[2]


def test_missing_numbers_and_unknown_words_are_no_errors(loaded, rows, value):
    values, faults = _asked(
        loaded,
        rows,
        [
            {"numbers": [float("nan")]},
            {"words": [b"94x"]},
            {"words": [b"\xff\xfe\x80"]},
            {"words": [b""], "numbers": [float("nan")]},
        ],
    )
    assert faults == [""] * 4
    nan = float("nan")
    expected = [
        value(0, 255, nan, "94501"),
        value(51, 102, nan, "94x"),
        value(204, 0, -2.5, "no such word"),
        value(255, 255, nan, ""),
    ]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_regress_takes_examples_and_what_lacks_a_feature(loaded, rows, value):
    pictures = fresh_process.make_string_array(
        [pathlib.Path(path).read_bytes() for path in rows.paths[0]]
    )
    whole = {
        "image_bytes": pictures,
        "numbers": np.array([3.0], "float32"),
        "words": fresh_process.make_string_array([b"93510"]),
    }
    serialized = [
        served_inputs.encode_example(whole),
        served_inputs.encode_example({"image_bytes": pictures}),
        served_inputs.encode_example(
            {name: whole[name] for name in ("numbers", "words")}
        ),
    ]
    got = loaded["regress"](tf.constant(serialized))["outputs"].numpy()
    expected = [
        [value(0, 255, 3.0, "93510")],
        [value(0, 255, float("nan"), "")],
        [0],
    ]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_no_rows_are_answered_with_none(loaded):
    answer = loaded["serving_default"](
        image_bytes=tf.zeros([0, 2], tf.string),
        numbers=tf.zeros([0, 1]),
        words=tf.zeros([0, 1], tf.string),
    )
    assert answer["values"].shape == (0, 1)


def test_an_export_that_computes_something_else_leaves_nothing(
    build_row_job, rows, tmp_path, monkeypatch
):
    said = {
        "serving_default/values": rows.values,
        "serve_array/values": rows.values,
        "regress/outputs": rows.values + np.array([[0, 0, 0, 0, 0.01]]).T,
    }
    monkeypatch.setattr(
        signature_checks, "call_signatures", lambda *_, **__: said
    )
    with pytest.raises(errors.RunError, match=r"version 1 \(regress\) differs"):
        image_saved_model.write(build_row_job(tmp_path / "export"))

    assert list((tmp_path / "export").iterdir()) == []
