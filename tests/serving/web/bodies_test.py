"""Tests of tf_finetune/serving/web/bodies.py; see also http_server_test.py."""

import email.message
import io

import pytest

from tf_finetune.serving import failures
from tf_finetune.serving.web import bodies


def _read(content, length, max_bytes=100, budget=None):
    stream = io.BufferedReader(io.BytesIO(content))
    budget = budget or bodies.Budget(1000)
    with bodies.Body(stream, budget, max_bytes) as body:
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
    budget = bodies.Budget(10)
    for _ in range(3):
        assert _read(b"12345678", 8, budget=budget) == b"12345678"
        with pytest.raises(failures.RequestError) as error:
            _read(b"12345678", 9, budget=budget)
        assert error.value.status == 400
        with pytest.raises(failures.RequestError) as error:
            _read(b"x" * 11, 11, budget=budget)
        assert error.value.status == 503


def _head(content):
    return bodies.read_head(io.BufferedReader(io.BytesIO(content)))


def test_a_head_ends_with_the_first_empty_line():
    first, fields = _head(b"GET / HTTP/1.1\r\na: b\r\nc: d\n\r\nbody\r\n\r\n")
    assert (first, fields) == (b"GET / HTTP/1.1\r\n", b"a: b\r\nc: d\n\r\n")
    assert _head(b"\r\nGET / HTTP/1.1\r\n\r\n") == (b"\r\n", b"")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"GET /", 400),
        (b"GET / HTTP/1.1\r\n", 400),
        (b"GET / HTTP/1.1\r\na: b", 400),
        (b"G" * 16384, 414),
        (b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * 16384, 431),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 3000, 431),
    ],
)
def test_a_head_that_does_not_end_is_refused(content, status):
    with pytest.raises(failures.RequestError) as error:
        _head(content)
    assert error.value.status == status


def test_no_length_is_no_body_where_that_may_be():
    headers = email.message.Message()
    assert bodies.declared_length(headers, 10, True) == 0
    with pytest.raises(failures.RequestError) as error:
        bodies.declared_length(headers, 10, False)
    assert error.value.status == 411
