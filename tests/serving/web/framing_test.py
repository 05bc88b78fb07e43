"""No bytes are two requests to two readers, and no request has two answers.

Each stream here means something else to a lenient reader, such as a proxy in
front, than to a strict one (RFC 9112, sections 2.2, 3, 5, 6, 7 and 11.2).
"""

import concurrent.futures
import json
import re
import threading

import pytest

from tf_finetune.serving.web import responses

_HOST = b"Host: localhost\r\n"
_GET = b"GET /x HTTP/1.1\r\n" + _HOST
_POST = b"POST /x HTTP/1.1\r\n" + _HOST
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
_HIDDEN = b"GET /hidden HTTP/1.1\r\n" + _HOST + b"\r\n"
_HIDING = b"Content-Length: %d\r\n\r\n" % len(_HIDDEN) + _HIDDEN
_LAST = b"GET /last HTTP/1.1\r\n" + _HOST + b"Connection: close\r\n\r\n"


def _statuses(answer):
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


def _paths(answer):
    return re.findall(rb'"path": "([^"]*)"', answer)


_FIELDS = {
    "no colon": b"nocolon\r\n",
    "no name": b": x\r\n",
    "blank before the colon": b"X : a\r\n",
    "tab before the colon": b"X\t: a\r\n",
    "blank in the name": b"X Y: a\r\n",
    "comment as a name": b"(X): a\r\n",
    "bare CR": b"X: a\r",
    "bare CR before the end": b"X: a\r\r\n",
    "CR in the name": b"X\r: a\r\n",
    "LF alone": b"X: a\n",
    "NUL": b"X: a\x00\r\n",
    "vertical tab": b"X: a\x0b\r\n",
    "DEL": b"X: a\x7f\r\n",
    "folded with a blank": b"X: a\r\n b\r\n",
    "folded with a tab": b"X: a\r\n\tb\r\n",
    "two lengths": b"Content-Length: 0\r\n",
    "the same length twice": b"Content-Length: %d\r\n" % len(_HIDDEN),
    "a list of lengths": b"Content-Length: 0, 0\r\n",
    "length with a sign": b"Content-Length: +5\r\n",
    "length in hexadecimals": b"Content-Length: 0x5\r\n",
    "length with a blank": b"Content-Length: 1 0\r\n",
    "negative length": b"Content-Length: -1\r\n",
    "length that overflows": b"Content-Length: 18446744073709551617\r\n",
    "length and chunks": b"Transfer-Encoding: chunked\r\n",
    "length and identity": b"Transfer-Encoding: identity\r\n",
    "length and unknown coding": b"Transfer-Encoding: xchunked\r\n",
    "coding with a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "two hosts": _HOST,
    "two other hosts": b"Host: other.example\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", _FIELDS)
def test_bytes_behind_a_malformed_field_are_never_a_second_request(
    start_http, name
):
    _, client = start_http()
    answer = client.say(_POST + _FIELDS[name] + _HIDING)
    assert _statuses(answer) in ([400], [501]), answer
    assert b"/hidden" not in answer
    assert client.ask("/good")[0] == 200


_FIRST_LINES = {
    "no version": b"GET /x\r\n",
    "blank at the end": b"GET /x HTTP/1.1 \r\n",
    "blank in the target": b"GET /x y HTTP/1.1\r\n",
    "tab for a blank": b"GET\t/x\tHTTP/1.1\r\n",
    "CR for a blank": b"GET /x\rHTTP/1.1\r\n",
    "NUL in the target": b"GET /\x00 HTTP/1.1\r\n",
    "no token as a method": b"G(T /x HTTP/1.1\r\n",
    "version in small letters": b"GET /x http/1.1\r\n",
    "version without a point": b"GET /x HTTP/11\r\n",
    "unknown version": b"GET /x HTTP/1.2\r\n",
    "LF alone": b"GET /x HTTP/1.1\n",
    "another host in the target": b"GET http://other.example/x HTTP/1.1\r\n",
    "the same host in the target": b"GET http://localhost/x HTTP/1.1\r\n",
    "a host alone": b"CONNECT localhost:80 HTTP/1.1\r\n",
    "a star": b"OPTIONS * HTTP/1.1\r\n",
    "folded at once": b"GET /x HTTP/1.1\r\n X: a\r\n",
}


@pytest.mark.parametrize("name", _FIRST_LINES)
def test_bytes_behind_a_malformed_first_line_are_never_a_second_request(
    start_http, name
):
    _, client = start_http()
    answer = client.say(_FIRST_LINES[name] + _HOST + _HIDING)
    assert _statuses(answer) in ([400], [505]), answer
    assert b"/hidden" not in answer


_BODIES = {
    "no hexadecimals": b"zz\r\n",
    "prefix of hexadecimals": b"0x3\r\nabc\r\n0\r\n\r\n",
    "negative size": b"-3\r\nabc\r\n0\r\n\r\n",
    "size that overflows": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "blank before the size": b" 3\r\nabc\r\n0\r\n\r\n",
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "LF after the size": b"3\nabc\r\n0\r\n\r\n",
    "LF in an extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "CR in an extension": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "LF after a chunk": b"3\r\nabc\n0\r\n\r\n",
    "chunk longer than its size": b"3\r\nabcd\r\n0\r\n\r\n",
    "something for CR LF": b"3\r\nabcXX0\r\n\r\n",
    "LF after the last chunk": b"0\n\r\n",
    "LF for the last line": b"0\r\n\n",
    "trailer without a colon": b"0\r\nnocolon\r\n\r\n",
    "trailer with LF": b"0\r\nX: a\n\r\n",
    "length as a trailer": b"0\r\nContent-Length: 5\r\n\r\n",
    "huge extension": b"3;" + b"e" * (1 << 19) + b"\r\nabc\r\n0\r\n\r\n",
    "huge trailer": b"0\r\nX: " + b"a" * (1 << 19) + b"\r\n\r\n",
    "many trailers": b"0\r\n" + b"Abc: a\r\n" * 10_000 + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", _BODIES)
def test_bytes_behind_malformed_chunks_are_never_a_second_request(
    start_http, name
):
    _, client = start_http()
    answer = client.say(_CHUNKED + _BODIES[name] + _HIDDEN)
    assert _statuses(answer) in ([400], [431]), answer
    assert b"/hidden" not in answer
    assert client.ask("/good")[0] == 200


def test_a_coding_before_chunks_and_chunks_in_http_1_0_are_refused(start_http):
    _, client = start_http()
    coding = b"Transfer-Encoding: gzip, chunked\r\n\r\n"
    assert _statuses(client.say(_POST + coding + b"0\r\n\r\n" + _HIDDEN)) == [
        501
    ]
    old = _CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0")
    answer = client.say(old + b"0\r\n\r\n" + _HIDDEN)
    assert _statuses(answer) == [400]


@pytest.mark.parametrize(
    "content",
    [
        _POST + b"X: a\n" + _HIDING,
        _CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n" + _HIDDEN,
    ],
)
def test_single_bytes_are_read_as_whole_streams_are(start_http, content):
    _, client = start_http()
    with client.open() as connection:
        try:
            for place in range(len(content)):
                connection.sendall(content[place : place + 1])
        except OSError:
            pass  # The server has ended the connection.
        assert _statuses(client.rest(connection)) == [400]


def test_chunks_extensions_and_trailers_are_read_to_their_end(start_http):
    _, client = start_http()
    chunks = b"3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nHost: x\r\n\r\n"
    tiny = b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n"
    answer = client.say(_CHUNKED + chunks + _CHUNKED + tiny + _LAST)
    assert _statuses(answer) == [200, 200, 200]
    assert b'"abc0123456789"' in answer and b"a" * 20_000 in answer
    assert _paths(answer) == [b"/x", b"/x", b"/last"]


def test_another_protocol_is_not_spoken_and_no_body_taken_for_it(start_http):
    _, client = start_http()
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    answer = client.say(_GET + upgrade + b"\r\n" + _LAST)
    assert _paths(answer) == [b"/x", b"/last"]
    answer = client.say(_POST + upgrade + _HIDING + _LAST)
    assert _statuses(answer) == [501]
    assert b"/hidden" not in answer


def test_a_body_of_get_is_not_taken_for_the_next_request(start_http):
    _, client = start_http()
    answer = client.say(_GET + _HIDING + _LAST)
    assert _paths(answer) == [b"/x", b"/last"]


def test_nothing_is_answered_behind_the_last_request(start_http):
    _, client = start_http()
    assert _paths(client.say(_LAST + _HIDDEN)) == [b"/last"]
    old = _GET.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n"
    assert _paths(client.say(old + _HIDDEN)) == [b"/x"]


def test_a_foreign_origin_cannot_hide_behind_a_bad_line(start_http):
    _, client = start_http()
    foreign = b"Origin: http://other.example\r\nContent-Length: 2\r\n\r\n{}"
    assert _statuses(client.say(_POST + foreign)) == [403]
    assert _statuses(client.say(_POST + b"nocolon\r\n" + foreign)) == [400]
    assert _statuses(client.say(_POST + b"X: a\r" + foreign)) == [400]


def test_garbage_after_a_request_ends_the_connection_alone(start_http):
    _, client = start_http()
    garbage = b"\x01\x02 garbage\r\n\r\n"
    answer = client.say(_GET + b"\r\n" + garbage + _GET + b"\r\n")
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert answer.count(b"HTTP/1.1 400 ") == 1


@pytest.fixture
def slow(start_http):
    """A client of a server that answers /slow when it may; the permission."""
    entered, allowed = threading.Event(), threading.Event()

    def answer(method, path, body):
        if path == "/slow":
            entered.set()
            assert allowed.wait(30)
        return responses.write_json({"path": path})

    yield start_http(answer)[1], entered, allowed
    allowed.set()


_SLOW = b"GET /slow HTTP/1.1\r\n" + _HOST + b"\r\n"


@pytest.mark.parametrize(
    ("follows", "statuses"),
    [
        (b"\x01\x02 garbage\r\n\r\n", [200, 400]),
        (_GET + b"nocolon\r\n\r\n" + _HIDDEN, [200, 400]),
        (_CHUNKED + b"zz\r\n" + _HIDDEN, [200, 400]),
        (_GET + b"\r\n" + _CHUNKED + b"zz\r\n" + _HIDDEN, [200, 200, 400]),
        (_POST + b"\r\n" + _HIDDEN, [200, 411]),
        ((_GET + b"\r\n") * 40 + _HIDDEN, [200] * 33 + [503]),
    ],
)
def test_an_error_waits_for_the_answers_before_it(slow, follows, statuses):
    client, entered, allowed = slow
    with (
        concurrent.futures.ThreadPoolExecutor(1) as pool,
        client.open() as connection,
    ):
        connection.sendall(_SLOW + follows)
        assert entered.wait(30)
        answer = pool.submit(client.rest, connection)
        with pytest.raises(TimeoutError):
            answer.result(0.2)
        allowed.set()
        got = answer.result(30)
    assert _statuses(got) == statuses
    first = got.split(b"\r\n\r\n")[1]
    assert json.loads(first[: first.index(b"}") + 1]) == {"path": "/slow"}
    assert b"/hidden" not in got


def test_requests_that_come_one_by_one_are_answered_in_their_order(slow):
    client, entered, allowed = slow
    with client.open() as connection:
        connection.sendall(_SLOW)
        assert entered.wait(30)
        for path in (b"/1", b"/2", b"/3"):
            connection.sendall(_GET.replace(b"/x", path) + b"\r\n")
            threading.Event().wait(0.05)
        connection.sendall(_LAST)
        allowed.set()
        got = client.rest(connection)
    assert _paths(got) == [b"/slow", b"/1", b"/2", b"/3", b"/last"]
