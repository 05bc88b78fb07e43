"""Tests of the web server's limits, with bare connections."""

import concurrent.futures
import contextlib
import gzip
import json
import socket
import threading
import time
import zlib

import pytest
from absl import logging as absl_logging
from starlette.responses import Response

from tf_finetune.serving.web import responses

_GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n"
_POST = b"POST /x HTTP/1.1\r\nHost: localhost\r\n"
_LAST = b"Connection: close\r\n\r\n"


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def _json(answer: bytes) -> dict:
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])


def _still_answers(client):
    assert client.ask("/good", b"body") == (
        200,
        {"method": "POST", "path": "/good", "body": "body"},
    )


def test_method_path_and_body_reach_the_function(start_http):
    _, client = start_http()
    assert client.ask("/a/b?query") == (
        200,
        {"method": "GET", "path": "/a/b", "body": ""},
    )
    _still_answers(client)


def test_a_connection_is_kept_for_the_next_request(start_http):
    _, client = start_http()
    body = b"Content-Length: 2\r\n\r\nab"
    answer = client.say(_POST + body + _POST + body + _GET + _LAST)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.count(b"connection: close") == 1


def test_head_and_body_of_an_answer_leave_together(start_http):
    _, client = start_http()
    with client.open() as connection:
        start = time.monotonic()
        for _ in range(50):
            connection.sendall(_GET + b"\r\n")
            assert connection.recv(1 << 16).endswith(b'"body": ""\n}')
        # Waiting for a confirmation, each would take 40 ms.
        assert time.monotonic() - start < 1.5


def test_a_body_in_chunks_is_put_together(start_http):
    _, client = start_http()
    answer = client.say(
        _POST + b"Transfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n"
        b"3\r\nabc\r\n2;note\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
    )
    assert _json(answer)["body"] == "abcde"


def test_a_body_of_get_is_not_taken_for_the_next_request(start_http):
    _, client = start_http()
    hidden = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
    length = b"Content-Length: %d\r\n\r\n" % len(hidden)
    answer = client.say(_GET + length + hidden + _GET + _LAST)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert b'"/hidden"' not in answer


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (_POST + b"Content-Length: 1000000000\r\n\r\nx", 413),
        (_POST + b"Content-Length: " + b"9" * 18 + b"\r\n\r\n", 413),
        (_POST + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n", 400),
        (_POST + b"Content-Length: -5\r\n\r\n", 400),
        (_POST + b"Content-Length: 1_0\r\n\r\n", 400),
        (_POST + b"Content-Length: ten\r\n\r\n", 400),
        (_POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        (_POST + b"\r\n", 411),
        (
            _POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (_POST + b"Transfer-Encoding: gzip\r\n\r\n", 400),
        (_POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (_POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (_POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n", 400),
        (
            _POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffff\r\n"
            + b"x" * (1 << 21),
            413,
        ),
        (
            _POST + b"Transfer-Encoding: chunked\r\n\r\n"
            + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 40,
            413,
        ),
        (_POST + b"Expect: 100-continue\r\nContent-Length: 1000000000\r\n\r\n",
         413),
        (b"GET / HTTP/1.1\r\nHost: rebound.example\r\n\r\n", 403),
        (_POST + b"Origin: http://evil.example\r\nContent-Type: text/plain\r\n"
         b"Content-Length: 2\r\n\r\n{}", 403),
        (_POST + b"Origin: null\r\nExpect: 100-continue\r\n"
         b"Content-Length: 2\r\n\r\n", 403),
        (b"GARBAGE\r\n\r\n", 400),
        (b"\x00\xff\x16\x03\x01\r\n\r\n", 400),
        (b"GET /x HTTP/9.9\r\n\r\n", 400),
        (b"GET /x HTTP/2.0\r\n\r\n", 505),
        (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", 414),
        (_GET + b"A: " + b"a" * 70000 + b"\r\n\r\n", 431),
        (_GET + b"Abcdefgh: a\r\n" * 2000 + b"\r\n", 431),
        (_GET + (b"A: " + b"a" * 1000 + b"\r\n") * 17 + b"\r\n", 431),
        (b"DELETE /x HTTP/1.1\r\n\r\n", 405),
        (b"SEARCH /x HTTP/1.1\r\n\r\n", 501),
        (b"BREW /x HTTP/1.1\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\n\r\n", 400),  # Without Host.
        (b"GET /x\r\n\r\n", 505),  # HTTP/0.9.
        (b"GET /x HTTP/1.1\r\nHost: me@127.0.0.1\r\n\r\n", 400),
        (_GET + b"X: a\r\n folded\r\n\r\n", 400),
        (_GET + b"X: a\x00\r\n\r\n", 400),
        (_POST + b"Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx", 415),
        (_POST + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", 400),
        (_POST + b"Content-Type: multipart/form-data; boundary=a\r\n"
         b"Content-Length: 1\r\n\r\nx", 415),
    ],
    ids=lambda value: str(value)[-40:],
)  # fmt: skip
def test_what_is_malformed_is_refused_and_the_next_client_served(
    start_http, request_bytes, status
):
    _, client = start_http()
    answer = client.say(request_bytes)
    assert _status(answer) == status, answer[:200]
    assert _json(answer)["error"]
    _still_answers(client)


@pytest.mark.parametrize(
    ("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_a_compressed_body_is_unpacked_within_the_limit(
    start_http, coding, pack
):
    _, client = start_http(max_held_bytes=1 << 21)
    headers = {"Content-Encoding": coding}
    for _ in range(3):  # What was unpacked is given back to the budget.
        _, answer = client.ask("/x", pack(b"a" * 1000_000), headers)
        assert answer["body"] == "a" * 1000_000
    status, answer = client.ask("/x", pack(b" " * (1 << 28)), headers)
    assert status == 413
    assert "at most 1048576 bytes" in answer["error"]
    _still_answers(client)


def test_unpacked_bytes_count_among_those_of_all_requests(start_http):
    _, client = start_http(max_held_bytes=100_000)
    status, _ = client.ask(
        "/x", gzip.compress(b"a" * 200_000), {"Content-Encoding": "gzip"}
    )
    assert status == 503
    _still_answers(client)


def test_half_a_request_is_no_request(start_http):
    _, client = start_http()
    with client.open() as connection:
        connection.sendall(_POST + b"Content-Length: 10\r\n\r\nhalf")
        connection.shutdown(socket.SHUT_WR)
        answer = client.rest(connection)
    assert _status(answer) == 400
    assert "too early" in _json(answer)["error"]
    _still_answers(client)


@pytest.mark.parametrize(
    "beginning",
    [
        b"GE",
        _GET,
        _POST + b"Content-Length: 10\r\n\r\n12345",
        _POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    ],
)
def test_a_client_that_is_too_slow_is_left(start_http, beginning):
    _, client = start_http(timeout_seconds=0.2)
    answer = client.say(beginning)  # Returns: the server has closed.
    assert _status(answer) == 408
    assert "in time" in _json(answer)["error"]


def test_a_connection_without_a_request_is_closed_without_an_answer(start_http):
    _, client = start_http(timeout_seconds=0.2)
    assert client.say(b"") == b""


def test_a_byte_now_and_then_gains_no_time(start_http):
    server, client = start_http(timeout_seconds=0.5)
    with client.open() as connection, pytest.raises(OSError):
        for _ in range(600):
            connection.sendall(b"G")
            threading.Event().wait(0.05)
    assert not server.open


def test_a_client_that_reads_too_slowly_gets_no_byte_twice(start_http):
    size = 40 << 20

    def large(method, path, body):
        return Response(b"a" * size)

    server, client = start_http(large, timeout_seconds=0.3)
    with client.open() as connection:
        connection.sendall(_GET + b"\r\n")
        connection.recv(12)
        threading.Event().wait(0.5)  # Longer than the answer may take.
        rest = client.rest(connection)
    assert b"HTTP/1.1" not in rest
    assert rest.count(b"a") <= size + 100
    _until(lambda: not server.open)


def test_more_connections_than_allowed_are_refused_with_503(start_http):
    _, client = start_http(max_connections=2)
    first, second = client.open(), client.open()
    for connection in (first, second):
        connection.sendall(_GET + b"\r\n")
        assert _status(client.answer(connection)) == 200
    answer = client.say(b"")
    assert _status(answer) == 503
    assert b"retry-after: 1\r\n" in answer
    first.close()
    second.close()
    _until(lambda: b" 200 " in client.say(_GET + _LAST))
    _still_answers(client)


def test_large_bodies_at_once_are_refused_with_503(start_http):
    entered, allowed = threading.Event(), threading.Event()

    def slow(method, path, body):
        entered.set()
        assert allowed.wait(30)
        return responses.write_json(len(body))

    _, client = start_http(slow, max_held_bytes=150_000)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.ask, "/x", b"a" * 100_000)
        assert entered.wait(30)
        status, answer = client.ask("/x", b"a" * 100_000)
        assert status == 503
        assert "Try again" in answer["error"]
        allowed.set()
        assert first.result(30) == (200, 100_000)
    assert client.ask("/x", b"a" * 100_000) == (200, 100_000)


def test_stopping_finishes_what_is_under_way_and_ends_idle_connections(
    start_http,
):
    entered, allowed = threading.Event(), threading.Event()

    def slow(method, path, body):
        if path == "/slow":
            entered.set()
            assert allowed.wait(30)
        return responses.write_json("done")

    server, client = start_http(slow)
    idle = client.open()
    idle.sendall(_GET + b"\r\n")
    assert _status(client.answer(idle)) == 200
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        under_way = pool.submit(client.ask, "/slow", b"")
        assert entered.wait(30)
        stopping = pool.submit(server.stop, 30)
        assert idle.recv(1) == b""  # Closed by the server.
        with pytest.raises(ConnectionError):
            client.open()
        assert not stopping.done()
        allowed.set()
        assert under_way.result(30) == (200, "done")
        stopping.result(30)


def test_a_client_that_leaves_harms_nobody(start_http):
    _, client = start_http()
    for _ in range(5):
        with client.open() as connection:
            connection.sendall(_GET + b"\r\n")
    _still_answers(client)


def _until(condition):
    for _ in range(3000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come to pass")


@pytest.mark.parametrize("reads", [True, False])
def test_an_answer_is_told_that_it_has_gone(start_http, reads):
    gone = threading.Event()

    def large(method, path, body):
        held = contextlib.ExitStack()
        held.callback(gone.set)
        return responses.HeldResponse(bytes(1 << 24), held)

    _, client = start_http(large, timeout_seconds=1.0)
    with client.open() as connection:
        connection.sendall(_GET + _LAST)
        assert not gone.wait(0.3)
        if reads:
            assert len(client.rest(connection)) > 1 << 24
        assert gone.wait(30)


def test_a_path_with_control_characters_is_one_printable_line(
    start_http, caplog
):
    _, client = start_http()
    absl_logging.set_verbosity(absl_logging.DEBUG)
    caplog.set_level("DEBUG", logger="absl")
    try:
        for path in (b"/a\x9b31mError:", b"/a%9b31mError%0a", b"/a%0d%0ab"):
            client.say(
                b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + _LAST
            )
    finally:
        absl_logging.set_verbosity(absl_logging.INFO)
    lines = [each.getMessage() for each in caplog.records]
    assert any("%9b31m" in line for line in lines), lines
    assert all(line.isprintable() for line in lines), lines
