"""Tests of tf_finetune/serving/web/responses.py."""

import json

import numpy as np
import pytest

from tf_finetune.serving import failures
from tf_finetune.serving.web import responses


def _text(*values):
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array


def _loaded(outputs, layout):
    return json.loads(responses.dump_outputs(outputs, layout))


def test_several_outputs_are_an_object_a_row():
    outputs = {
        "scores": np.array([[1, 2], [3, 4]], "int32"),
        "classes": _text(b"ants", b"bees"),
    }
    assert _loaded(outputs, "row") == {
        "predictions": [
            {"classes": "ants", "scores": [1, 2]},
            {"classes": "bees", "scores": [3, 4]},
        ]
    }
    assert _loaded(outputs, "column") == {
        "outputs": {"classes": ["ants", "bees"], "scores": [[1, 2], [3, 4]]}
    }


def test_a_single_output_is_given_without_its_name():
    outputs = {"y": np.array([[0.5], [1.5]])}
    assert _loaded(outputs, "row") == {"predictions": [[0.5], [1.5]]}
    assert _loaded(outputs, "column") == {"outputs": [[0.5], [1.5]]}


def test_strings_are_base64_where_the_name_ends_in_bytes():
    outputs = {"a_bytes": _text(b"hi"), "b": _text("ä".encode())}
    assert _loaded(outputs, "row") == {
        "predictions": [{"a_bytes": {"b64": "aGk="}, "b": "ä"}]
    }


def test_bytes_that_are_no_utf8_do_not_break_the_json():
    assert _loaded({"x": _text(b"caf\xe9")}, "row") == {
        "predictions": ["caf\ufffd"]
    }


def test_a_float32_is_its_shortest_decimal():
    content = responses.dump_outputs(
        {"x": np.array([0.2, 1, 1e-9], "f4")}, "row"
    )
    assert content == b'{"predictions": [0.2, 1.0, 1e-09]}'


def test_nan_and_infinity_are_written_as_tensorflow_serving_does():
    values = np.array([np.nan, np.inf, -np.inf], "float32")
    content = responses.dump_outputs({"x": values}, "row")
    assert content == b'{"predictions": [NaN, Infinity, -Infinity]}'


def test_shapes_are_kept():
    values = np.arange(12, dtype="float32").reshape(2, 3, 2)
    assert _loaded({"x": values}, "column")["outputs"] == values.tolist()
    assert _loaded({"x": np.float32(2.0).reshape([])}, "column") == {
        "outputs": 2.0
    }
    empty = np.zeros([0, 3], "float32")
    assert _loaded({"x": empty}, "row") == {"predictions": []}


def test_outputs_without_common_rows_have_no_row_format():
    outputs = {"a": np.zeros(2), "b": np.zeros(3)}
    with pytest.raises(failures.RequestError, match="column format"):
        responses.dump_outputs(outputs, "row")
    with pytest.raises(failures.RequestError, match="column format"):
        responses.dump_outputs({"a": np.zeros([])}, "row")
    assert _loaded(outputs, "column")["outputs"]["b"] == [0, 0, 0]
