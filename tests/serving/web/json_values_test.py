"""Tests of tf_finetune/serving/web/json_values.py."""

import pytest
import tensorflow as tf

from tf_finetune.serving import failures
from tf_finetune.serving.web import json_values


def _features(document):
    (content,) = json_values.serialize_examples(document)
    return tf.train.Example.FromString(content).features.feature


def test_each_kind_of_value_has_its_list():
    features = _features(
        {
            "examples": [
                {"t": "a", "b": {"b64": "AAE="}, "i": [1, True], "f": [1, 2.5]}
            ]
        }
    )
    assert list(features["t"].bytes_list.value) == [b"a"]
    assert list(features["b"].bytes_list.value) == [b"\x00\x01"]
    assert list(features["i"].int64_list.value) == [1, 1]
    assert list(features["f"].float_list.value) == [1.0, 2.5]


def test_context_is_common_to_all():
    features = _features({"context": {"c": 1}, "examples": [{"d": 2}]})
    assert list(features["c"].int64_list.value) == [1]
    assert list(features["d"].int64_list.value) == [2]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"examples": []},
        {"examples": {}},
        {"examples": [1]},
        {"examples": [{}], "context": []},
        {"examples": [{"x": None}]},
        {"examples": [{"x": [[1]]}]},
        {"examples": [{"x": {"b64": "!"}}]},
        {"examples": [{"x": 2**64}]},
    ],
)
def test_what_is_no_example_is_a_400(document):
    with pytest.raises(failures.RequestError) as error:
        json_values.serialize_examples(document)
    assert error.value.status == 400
