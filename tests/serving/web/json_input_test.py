"""Tests of serving/web/json_input.py, by TensorFlow Serving's rules."""

import json

import numpy as np
import pytest

from tf_finetune.serving import failures, tensor_info
from tf_finetune.serving.web import json_input, json_values

_TEXT = (tensor_info.TensorInfo("text", np.dtype(object), (None,)),)
_PAIR = (
    tensor_info.TensorInfo("a", np.dtype("float32"), (None, 2)),
    tensor_info.TensorInfo("b", np.dtype("int32"), (None,)),
)


def _one(dtype, shape):
    return (tensor_info.TensorInfo("x", np.dtype(dtype), shape),)


def _read(document, inputs):
    return json_input.to_arrays(document, inputs)


def test_a_list_of_bytes_in_row_format():
    arrays, layout = _read(
        {"instances": [{"b64": "aGk="}, "plain", {"b64": "AAE"}]}, _TEXT
    )
    assert layout == "row"
    assert arrays["text"].tolist() == [b"hi", b"plain", b"\x00\x01"]


def test_named_inputs_in_row_format():
    arrays, _ = _read(
        {"instances": [{"a": [1, 2.5], "b": 3}, {"a": [4, 5], "b": 6}]}, _PAIR
    )
    np.testing.assert_array_equal(arrays["a"], [[1, 2.5], [4, 5]])
    assert arrays["a"].dtype == "float32"
    np.testing.assert_array_equal(arrays["b"], [3, 6])
    assert arrays["b"].dtype == "int32"


def test_named_inputs_in_column_format():
    arrays, layout = _read({"inputs": {"a": [[1, 2]], "b": [3]}}, _PAIR)
    assert layout == "column"
    np.testing.assert_array_equal(arrays["a"], [[1, 2]])
    np.testing.assert_array_equal(arrays["b"], [3])


def test_a_single_input_needs_no_name():
    assert _read({"inputs": ["a"]}, _TEXT)[0]["text"].tolist() == [b"a"]
    by_name = {"instances": [{"text": {"b64": "aGk="}}]}
    assert _read(by_name, _TEXT)[0]["text"].tolist() == [b"hi"]


def test_a_scalar_and_an_unknown_shape():
    arrays, _ = _read({"inputs": 7}, _one("int64", ()))
    assert arrays["x"].shape == () and arrays["x"] == 7
    arrays, _ = _read({"inputs": [[1, 2], [3, 4]]}, _one("float32", None))
    assert arrays["x"].shape == (2, 2)


def test_empty_lists_take_the_rest_of_the_shape():
    arrays, _ = _read({"inputs": []}, _one("float32", (None, 4)))
    assert arrays["x"].shape == (0, 4)


def test_nan_and_infinity_are_numbers():
    document = json_input.parse_body(
        b'{"instances": [NaN, Infinity, -Infinity]}'
    )
    arrays, _ = _read(document, _one("float32", (None,)))
    np.testing.assert_array_equal(arrays["x"], [np.nan, np.inf, -np.inf])


@pytest.mark.parametrize(
    ("document", "inputs", "words"),
    [
        ({}, _TEXT, "one of the keys"),
        ({"instances": ["a"], "inputs": ["a"]}, _TEXT, "one of the keys"),
        ({"instances": []}, _TEXT, "list of examples"),
        ({"instances": "a"}, _TEXT, "list of examples"),
        ({"instances": None}, _TEXT, "list of examples"),
        ({"instances": [{"b64": "!"}]}, _TEXT, "base64"),
        ({"instances": [{"b64": "abcde"}]}, _TEXT, "base64"),
        ({"instances": [{"b64": 5}]}, _TEXT, "keys 'text'"),
        ({"instances": [5]}, _TEXT, "takes strings"),
        ({"instances": [True]}, _TEXT, "takes strings"),
        ({"instances": [None]}, _TEXT, "takes strings"),
        ({"instances": ["\ud800"]}, _TEXT, "surrogate"),
        ({"instances": [["a"]]}, _TEXT, r"shape \[\?\], got \[1, 1\]"),
        ({"instances": ["a", ["b"]]}, _TEXT, "takes strings"),
        ({"instances": [["a"], "b"]}, _TEXT, "differ in length"),
        ({"instances": ["a", {"text": "b"}]}, _TEXT, "Element 0"),
        ({"instances": [1]}, _PAIR, "keys 'a', 'b'"),
        ({"instances": [{"a": [1, 2]}]}, _PAIR, "Element 0"),
        ({"inputs": [1]}, _PAIR, "keys 'a', 'b'"),
        ({"inputs": {"a": [[1, 2]]}}, _PAIR, "Missing named input 'b'"),
        ({"inputs": {"a": [[1, 2, 3]], "b": [1]}}, _PAIR, r"\[1, 3\]"),
        ({"instances": ["1"]}, _one("float32", (None,)), "float32"),
        ({"instances": [True]}, _one("float32", (None,)), "float32"),
        ({"instances": [1.5]}, _one("int32", (None,)), "int32"),
        ({"instances": [300]}, _one("uint8", (None,)), "precision"),
        ({"instances": [2**24 + 1]}, _one("float32", (None,)), "precision"),
        ({"instances": [1e39]}, _one("float32", (None,)), "precision"),
        ({"instances": [10**400]}, _one("float64", (None,)), "precision"),
        ({"instances": [1]}, _one("complex64", (None,)), "complex64"),
    ],
)
def test_what_does_not_fit_is_a_400_that_says_so(document, inputs, words):
    with pytest.raises(failures.RequestError, match=words) as error:
        _read(document, inputs)
    assert error.value.status == 400
    assert len(error.value.message) < 300


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b"null",
        b"\xff\xfe\x00",
        b'{"instances": [1,]}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"instances": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"a":' * 100_000,
    ],
    ids=lambda body: str(body[:20]),
)
def test_what_is_no_json_object_is_a_400(body):
    with pytest.raises(failures.RequestError) as error:
        json_input.parse_body(body)
    assert error.value.status == 400


@pytest.mark.parametrize("info", [*_TEXT, *_one("float32", None)])
def test_lists_as_deep_as_the_parser_allows_are_a_400(info):
    nested = json.loads("[" * 500 + "]" * 500)
    with pytest.raises(failures.RequestError):
        _read({"instances": [nested, 1]}, (info,))


def test_more_dimensions_than_an_array_can_have_are_a_400():
    nested = json.loads("[" * 70 + "1" + "]" * 70)
    with pytest.raises(failures.RequestError, match="dimensions") as error:
        _read({"inputs": nested}, _one("float32", None))
    assert error.value.status == 400


def test_the_signature_is_named_or_the_default():
    assert json_input.read_signature_name({}) == "serving_default"
    assert json_input.read_signature_name({"signature_name": "s"}) == "s"
    with pytest.raises(failures.RequestError, match="must be a string"):
        json_input.read_signature_name({"signature_name": 3})


def test_a_message_does_not_repeat_a_large_value():
    assert len(json_values.shorten_value("a" * 10**6)) < 100
    assert json_values.shorten_value([[1] * 1000]) == "a list of 1"
