"""Tests of exports/saved_model/signature_checks.py, in one process."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from tf_finetune import errors  # noqa: E402
from tf_finetune.exports.parity import fresh_process  # noqa: E402
from tf_finetune.exports.saved_model import (  # noqa: E402
    image_signatures,
    served_inputs,
    signature_checks,
)


@pytest.fixture
def answer(monkeypatch):
    """A function: what the process answers → what `ask` does with it."""

    def ask(**answers):
        asked = {}

        def run(script, folder, inputs):
            asked.update(inputs)
            return {f"serve/{name}": each for name, each in answers.items()}

        monkeypatch.setattr(fresh_process, "run_script", run)
        monkeypatch.setattr(
            image_signatures,
            "read_methods",
            lambda folder: {"serve": ""},
        )
        arrays = {"x": np.arange(2)}
        inputs = {"serve": arrays, "not there": arrays}
        got = signature_checks.call_signatures(
            "folder", "version 1", inputs, variables=3, batch_size=7
        )
        return got, asked

    return ask


def test_signatures_that_are_there_are_asked(answer):
    got, asked = answer(
        values=np.ones(2), error=fresh_process.make_string_array([b"", b""])
    )
    assert set(asked) == {"serve/x", "batch_size", "variables"}
    assert (asked["batch_size"], asked["variables"]) == (7, 3)
    assert set(got) == {"serve/values", "serve/error"}


def test_a_fault_found_with_what_was_read_before_is_told(answer):
    with pytest.raises(
        errors.RunError,
        match=r"1 \(serve\) reports errors .* no picture",
    ):
        answer(
            values=np.ones(2),
            error=fresh_process.make_string_array([b"", b"no picture"]),
        )


def test_rows_become_examples_of_their_values():
    inputs = {
        "one": fresh_process.make_string_array([b"\0a\0", b""]),
        "two": fresh_process.make_string_array(
            [b"b", b"c", b"d", b"e"]
        ).reshape(2, 2),
        "numbers": np.array([[1.5, np.nan], [2, 3]], "float32"),
    }
    first, second = map(
        tf.train.Example.FromString, served_inputs.encode_examples(inputs)
    )
    assert list(first.features.feature["one"].bytes_list.value) == [b"\0a\0"]
    assert list(second.features.feature["one"].bytes_list.value) == [b""]
    assert list(second.features.feature["two"].bytes_list.value) == [b"d", b"e"]
    numbers = list(first.features.feature["numbers"].float_list.value)
    np.testing.assert_array_equal(numbers, [1.5, np.nan])
