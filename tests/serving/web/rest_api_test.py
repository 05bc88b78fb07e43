"""Tests of tf_finetune/serving/web/rest_api.py on a small SavedModel."""

import json

import pytest

from tf_finetune.serving import size_limits
from tf_finetune.serving.web import json_values, rest_api

_PREDICT = "/v1/models/small:predict"


@pytest.fixture
def ask(served):
    """A function that asks the API without a network."""
    api = rest_api.RestApi([served])

    def call(path, document=None, method=None):
        body = b"" if document is None else json.dumps(document).encode()
        chosen = method or ("GET" if document is None else "POST")
        response = api.answer(chosen, path, body)
        return response.status_code, json.loads(response.body)

    return call


def test_status_says_that_the_version_is_available(ask):
    expected = {
        "model_version_status": [
            {
                "version": "3",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    assert ask("/v1/models/small") == (200, expected)
    assert ask("/v1/models/small/versions/3") == (200, expected)


def test_metadata_gives_the_signatures_as_tensorflow_serving_does(ask):
    status, answer = ask("/v1/models/small/metadata")
    assert status == 200
    assert answer["model_spec"] == {
        "name": "small",
        "signature_name": "",
        "version": "3",
    }
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    text = signatures["serving_default"]["inputs"]["text"]
    assert text["dtype"] == "DT_STRING"
    assert text["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}],
        "unknown_rank": False,
    }
    assert signatures["sums"]["outputs"]["sum"]["dtype"] == "DT_FLOAT"
    assert signatures["sums"]["method_name"] == "tensorflow/serving/predict"


def test_predict_in_row_format(ask):
    status, answer = ask(_PREDICT, {"instances": ["abc", {"b64": "aGk="}]})
    assert status == 200
    assert answer["predictions"] == [
        {"length": 3, "probabilities": [0.3, 0.7],
         "first": "a", "first_bytes": {"b64": "YQ=="}},
        {"length": 2, "probabilities": [0.2, 0.8],
         "first": "h", "first_bytes": {"b64": "aA=="}},
    ]  # fmt: skip


def test_predict_in_column_format_of_a_named_signature(ask):
    document = {
        "signature_name": "sums",
        "inputs": {"a": [[1, 2]], "b": [[10, 20]]},
    }
    path = "/v1/models/small/versions/3:predict"
    assert ask(path, document) == (200, {"outputs": [[11.0, 22.0]]})


def test_a_signature_without_rows_has_the_column_format_alone(ask):
    document = {"signature_name": "double", "inputs": 1.5}
    assert ask(_PREDICT, document) == (200, {"outputs": 3.0})
    document = {"signature_name": "double", "instances": [1.5]}
    assert ask(_PREDICT, document)[0] == 400


def test_classify_takes_examples_and_their_context(ask):
    path = "/v1/models/small:classify"
    document = {
        "signature_name": "classify",
        "context": {"x": 1.5},
        "examples": [{}, {"y": "unused"}, {"x": [2.5]}],
    }
    assert ask(path, document) == (
        200,
        {
            "results": [
                [["ants", 1.5], ["bees", -1.5]],
                [["ants", 1.5], ["bees", -1.5]],
                [["ants", 2.5], ["bees", -2.5]],
            ]
        },
    )


def test_regress_gives_a_number_for_each_example(ask):
    path = "/v1/models/small:regress"
    document = {
        "signature_name": "regress",
        "context": {"x": 3.0},
        "examples": [{}, {"x": [2.2]}],
    }
    assert ask(path, document) == (200, {"results": [1.5, 1.1]})


@pytest.mark.parametrize(
    ("path", "document", "status", "words"),
    [
        ("/v1/models/other", None, 404, "Latest(other)"),
        ("/v1/models/small/versions/4", None, 404, "Specific(small, 4)"),
        ("/v1/models/small/versions/" + "9" * 30, None, 400, "numeric"),
        ("/v1/models/small/labels/stable", None, 400, "label"),
        ("/v1/models/small/../../etc/passwd", None, 400, "Malformed"),
        ("/v1/models/..%2f..%2fetc", None, 404, "Latest(../../etc)"),
        ("/v1/models", None, 400, "Malformed"),
        ("/etc/passwd", None, 404, "Not found"),
        ("/../../etc/passwd", None, 404, "Not found"),
        ("/assets/page.html", None, 404, "Not found"),
        (_PREDICT, None, 400, "Malformed"),
        ("/v1/models/small", {}, 400, "Malformed"),
        ("/", {}, 404, "Not found"),
        ("/v1/models/other:predict", {"instances": ["a"]}, 404, "other"),
        (_PREDICT, {"instances": ["bad one"]}, 400, "bad!"),
        (
            _PREDICT,
            {"instances": ["a"], "signature_name": "serving"},
            400,
            "Known: classify, double, regress, serving_default, sums",
        ),
        (_PREDICT, {"instances": ["a"] * 10_000}, 413, "64 instances"),
        ("/v1/models/small:regress", {"examples": [{}]}, 400, "'inputs'"),
        (
            "/v1/models/small:regress",
            {"signature_name": "classify", "examples": [{"x": 1.0}]},
            400,
            "'classify' cannot regress: it must have the output 'outputs'",
        ),
        (
            "/v1/models/small:regress",
            {"signature_name": "missing", "examples": [{"x": 1.0}]},
            400,
            "'missing' not found",
        ),
        (
            "/v1/models/small:classify",
            {"signature_name": "regress", "examples": [{"x": 1.0}]},
            400,
            "'regress' cannot classify",
        ),
        ("/v1/models/small:classify", {"examples": [{}]}, 400, "'inputs'"),
        (
            "/v1/models/small:classify",
            {"signature_name": "classify", "examples": [{"z": 1.0}]},
            400,
            "x",
        ),
        (
            "/v1/models/small:classify",
            {"signature_name": "classify", "examples": [{"x": [1, "a"]}]},
            400,
            "all of one type",
        ),
    ],
)
def test_what_cannot_be_answered_is_an_error_in_words(
    ask, path, document, status, words
):
    got, answer = ask(path, document)
    assert got == status, answer
    assert words in answer["error"]
    assert "{{" not in answer["error"] and "Traceback" not in answer["error"]
    assert ask(_PREDICT, {"instances": ["a"]})[0] == 200


@pytest.mark.parametrize(("largest", "status"), [(1 << 20, 200), (3, 500)])
def test_only_large_answers_are_written_one_at_a_time(
    served, monkeypatch, largest, status
):
    class Taken:
        def __enter__(self):
            raise RuntimeError("Another one is being written.")

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(rest_api, "_LARGE_BYTES", largest)
    api = rest_api.RestApi([served])
    api._writing = Taken()
    body = json.dumps({"instances": [{"b64": "YWJj"}]}).encode()
    assert api.answer("POST", _PREDICT, body).status_code == status


def test_a_fault_of_the_server_is_a_500_without_its_secrets(served):
    class Broken:
        model = served.model

        def classify(self, *_):
            raise KeyError("secret")

        def check_rows(self, *_):
            pass

    response = rest_api.RestApi([Broken()]).answer(
        "POST",
        "/v1/models/small:classify",
        b'{"signature_name": "classify", "examples": [{"x": 1.0}]}',
    )
    assert response.status_code == 500
    assert b"secret" not in response.body


def test_too_many_instances_are_refused_before_any_is_looked_at(
    ask, monkeypatch
):
    def fail(*_, **__):
        raise RuntimeError("an instance was looked at")

    monkeypatch.setattr(json_values, "decode_string", fail)
    monkeypatch.setattr(size_limits, "measure_images", fail)
    many, examples = [""] * 65, [{"x": 1.0}] * 65
    for document in (
        {"instances": many},
        {"instances": [{"text": ""}] * 65},
        {"inputs": many},
    ):
        status, answer = ask(_PREDICT, document)
        assert status == 413
        assert "64 instances at most, got 65" in answer["error"]
    for verb in ("classify", "regress"):
        document = {"signature_name": verb, "examples": examples}
        status, answer = ask(f"/v1/models/small:{verb}", document)
        assert status == 413, answer


def test_numbers_sent_to_a_signature_of_strings_are_told_where_they_go(ask):
    for document in (
        {"instances": [[1.0, 2.0], [3.0, 4.0]]},
        {"instances": [{"text": 5}]},
        {"inputs": [[[0]]]},
    ):
        status, answer = ask(_PREDICT, document)
        assert status == 400
        assert "Numbers go to: double, sums." in answer["error"]
        assert "'serving_default' takes encoded pictures" in answer["error"]


@pytest.mark.parametrize(
    ("instance", "words"),
    [
        ({"b64": "_-8="}, "+ and / where"),
        ({"b64": "data:image/png;base64,AAAA"}, "up to the comma"),
        ("/9j/4AAQSkZJRg==", "as a plain string"),
        ("data:image/png;base64,iVBORw0KGgo=", "as a plain string"),
        ({"image": {"b64": "AAAA"}}, 'got an object with the keys "image"'),
    ],
)
def test_a_picture_written_otherwise_is_told_how_to_write_it(
    ask, instance, words
):
    status, answer = ask(_PREDICT, {"instances": [instance]})
    assert status == 400
    assert words in answer["error"]
