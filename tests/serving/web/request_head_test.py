"""Tests of tf_finetune/serving/web/request_head.py."""

import io

import pytest

from tf_finetune.serving import failures
from tf_finetune.serving.web import request_head


def _head(content):
    return request_head.read_head(io.BufferedReader(io.BytesIO(content)))


def test_a_head_ends_with_the_first_empty_line():
    first, fields = _head(b"GET / HTTP/1.1\r\na: b\r\nc: d\n\r\nbody\r\n\r\n")
    assert (first, fields) == (b"GET / HTTP/1.1\r\n", b"a: b\r\nc: d\n\r\n")


def test_one_empty_line_before_the_head_is_left_out():
    assert _head(b"\r\nGET / HTTP/1.1\r\n\r\n") == (
        b"GET / HTTP/1.1\r\n",
        b"\r\n",
    )


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


@pytest.mark.parametrize(
    "line",
    [
        b"nocolon",
        b": no name",
        b"blank before: the colon".replace(b":", b" :"),
        b"in name: x".replace(b" ", b"\t", 1),
        b"(comment): x",
        b"X: a\rContent-Length: 5",
        b"X: a\x00b",
        b"X: a\x0bb",
        b"X: a\x7fb",
        b" folded",
        b"\tfolded",
        b"X\r: a",
    ],
)
def test_a_line_that_is_no_field_is_refused(line):
    with pytest.raises(failures.RequestError, match="NAME: VALUE") as error:
        _head(b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\nY: z\r\n\r\n")
    assert error.value.status == 400


@pytest.mark.parametrize(
    "line",
    [b"X:", b"X:a", b"X: \t a b ", b"X: caf\xe9", b"!#$%&'*+-.^_`|~: x"],
)
def test_a_field_is_taken_as_the_standard_writes_it(line):
    assert _head(b"GET / HTTP/1.1\r\n" + line + b"\r\n\r\n")[1] == (
        line + b"\r\n\r\n"
    )


@pytest.mark.parametrize(
    "first",
    [
        b"GET /x",  # HTTP/0.9.
        b"GET  /x HTTP/1.1",
        b"GET /x  HTTP/1.1",
        b" GET /x HTTP/1.1",
        b"GET /x y HTTP/1.1",
        b"GET /x\ty HTTP/1.1",
        b"GET /x\rHTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"G(T /x HTTP/1.1",
        b"GET /x HTTP/1.1 ",
        b"GET /x http/1.1",
        b"GET /x HTTP/11",
    ],
)
def test_a_first_line_that_is_none_is_refused(first):
    with pytest.raises(failures.RequestError, match="METHOD PATH") as error:
        _head(first + b"\r\nHost: a\r\n\r\n")
    assert error.value.status == 400
