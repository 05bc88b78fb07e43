"""Tests of tf_finetune/serving/web/request_bodies.py."""

import io

import pytest

from tf_finetune.serving import failures
from tf_finetune.serving.web import request_bodies


def _read(content, length, max_bytes=100, budget=None):
    stream = io.BufferedReader(io.BytesIO(content))
    budget = budget or request_bodies.ByteBudget(1000)
    with request_bodies.BodyReader(stream, budget, max_bytes) as body:
        return body.read(length)


def test_as_much_is_read_as_was_declared():
    assert _read(b"abcdef", 4) == b"abcd"


def test_chunks_are_read_up_to_the_last_one():
    assert _read(b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nnext", None) == (
        b"abc0123456789"
    )


def test_chunks_end_where_they_become_too_many():
    with pytest.raises(failures.RequestError) as error:
        _read(b"40\r\n" + b"x" * 64 + b"\r\n40\r\n", None)
    assert error.value.status == 413


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"-1\r\n",
        b"0x3\r\nabc\r\n",
        b"3\r\nabcd\r\n",
        b"0\r\n" + b"a: b\r\n" * 100,
        b"1;" + b"e" * 5000 + b"\r\na\r\n",
    ],
)
def test_chunks_that_are_none_are_a_400(content):
    with pytest.raises(failures.RequestError) as error:
        _read(content, None)
    assert error.value.status == 400


def test_what_a_body_held_is_given_back_however_it_ends():
    budget = request_bodies.ByteBudget(10)
    for _ in range(3):
        assert _read(b"12345678", 8, budget=budget) == b"12345678"
        with pytest.raises(failures.RequestError) as error:
            _read(b"12345678", 9, budget=budget)
        assert error.value.status == 400
        with pytest.raises(failures.RequestError) as error:
            _read(b"x" * 11, 11, budget=budget)
        assert error.value.status == 503
