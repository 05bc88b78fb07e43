"""Tests of tf_finetune/serving/service.py on a small SavedModel."""

import io

import numpy as np
import pytest
from PIL import Image

from tf_finetune.serving import failures


def test_the_empty_name_is_the_default_signature(served):
    text = np.array([b"abc"], dtype=object)
    outputs = served.predict("", {"text": text})
    np.testing.assert_array_equal(outputs["length"], [3])


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "takes the inputs a, b, got none"),
        ({"a": np.zeros([1, 2], "f4")}, "got a"),
        (
            {"a": np.zeros([1, 2]), "b": np.zeros([1, 2], "f4")},
            "'a' must be float32, got float64",
        ),
        (
            {"a": np.zeros([1, 3], "f4"), "b": np.zeros([1, 2], "f4")},
            r"shape \[\?, 2\], got \[1, 3\]",
        ),
        (
            {"a": np.zeros([2, 2], "f4"), "b": np.zeros([1, 2], "f4")},
            "differ in their number of rows",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(served, inputs, words):
    with pytest.raises(failures.RequestError, match=words) as error:
        served.predict("sums", inputs)
    assert error.value.status == 400


def test_more_rows_than_a_batch_come_back_in_order(served):
    rows = np.arange(40, dtype="float32").reshape(20, 2)
    outputs = served.predict("sums", {"a": rows, "b": rows})
    np.testing.assert_array_equal(outputs["sum"], 2 * rows)


def test_pictures_too_large_together_are_computed_in_turn(served, monkeypatch):
    rows = []
    run = served._batcher._run
    monkeypatch.setattr(
        served._batcher,
        "_run",
        lambda name, inputs: (
            rows.append(len(inputs["text"])) or run(name, inputs)
        ),
    )
    text = np.array([_picture(20, 20), b"abc", _picture(25, 25)], dtype=object)
    outputs = served.predict("", {"text": text})
    np.testing.assert_array_equal(outputs["length"], [*map(len, text)])
    assert rows == [2, 1]  # 400 pixels, and 625; 1000 are allowed.


def _picture(width, height):
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "png")
    return stream.getvalue()


def test_another_model_or_version_is_a_404(served):
    served.require("small", None)
    served.require("small", 3)
    for name, version in (("large", None), ("small", 2)):
        with pytest.raises(failures.RequestError, match="not found") as error:
            served.require(name, version)
        assert error.value.status == 404
