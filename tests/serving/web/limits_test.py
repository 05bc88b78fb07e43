"""Good clients are served while others take all that they can."""

import contextlib
import re
import socket
import threading
import time

import pytest
from starlette import datastructures

from tf_finetune.serving import failures
from tf_finetune.serving.web import limits, responses

_HOST = b"Host: localhost\r\n"
_GET = b"GET /x HTTP/1.1\r\n" + _HOST
_POST = b"POST /x HTTP/1.1\r\n" + _HOST
_EMPTY_POST = _POST + b"Content-Length: 0\r\n\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"


def _statuses(answer):
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


def _until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


@contextlib.contextmanager
def _in_threads(count, function):
    """Repeats a function in threads while the block lasts."""
    over = threading.Event()

    def work():
        while not over.is_set():
            function(over)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in threads:
            each.join()


def test_ten_thousand_connections_are_refused_and_good_clients_served(
    start_http,
):
    server, client = start_http(max_connections=4)
    refused = []

    def flood(over):
        with contextlib.suppress(ConnectionError):
            refused.append(_statuses(client.say(b"")))

    with contextlib.ExitStack() as ends:
        held = [ends.enter_context(client.open()) for _ in range(3)]
        good = ends.enter_context(client.open())
        _until(lambda: len(server.open) == 4)
        slowest = 0.0
        with _in_threads(4, flood):
            while len(refused) < 10_000:
                start = time.monotonic()
                good.sendall(_GET + b"\r\n")
                assert _statuses(client.answer(good)) == [200]
                slowest = max(slowest, time.monotonic() - start)
        assert set(map(tuple, refused)) == {(503,)}
        assert slowest < 5
        assert len(server.open) == 4
        for each in held:
            each.sendall(_GET + b"\r\n")
            assert _statuses(client.answer(each)) == [200]


def _dribble(content, seconds):
    """Returns a function that sends a byte at a time until it is cut off."""

    def send(client, over):
        with contextlib.suppress(OSError), client.open() as connection:
            for place in range(len(content)):
                connection.sendall(content[place : place + 1])
                if over.wait(seconds):
                    return

    return send


def _pour(head, block):
    """Returns a function that sends a block without end."""

    def send(client, over):
        with contextlib.suppress(OSError), client.open() as connection:
            connection.sendall(head)
            while not over.is_set():
                connection.sendall(block)

    return send


_SENDERS = {
    "slow heads": _dribble(_GET + b"A: " + b"a" * 1000, 0.02),
    "slow bodies": _dribble(_POST + b"Content-Length: 1000\r\n\r\n", 0.02),
    "slow chunks": _dribble(_CHUNKED + b"1\r\na\r\n" * 1000, 0.02),
    "endless lines": _pour(_GET + b"A: ", b"a" * (1 << 16)),
    "endless fields": _pour(_GET, b"A: a\r\n" * 1000),
    "endless empty lines": _pour(b"", b"\r\n" * 1000),
    "endless chunks": _pour(_CHUNKED, b"1\r\na\r\n" * 10_000),
    "endless extensions": _pour(_CHUNKED + b"1;", b"e" * (1 << 16)),
    "endless trailers": _pour(_CHUNKED + b"0\r\n", b"A: a\r\n" * 1000),
    "endless bodies": _pour(
        _POST + b"Content-Length: 100000000\r\n\r\n", b"x" * (1 << 16)
    ),
    "endless requests": _pour(b"", (_GET + b"\r\n") * 1000),
}


@pytest.mark.parametrize("name", _SENDERS)
def test_good_clients_are_served_beside(start_http, name):
    server, client = start_http(timeout_seconds=0.5)
    slowest = 0.0
    with _in_threads(4, lambda over: _SENDERS[name](client, over)):
        end = time.monotonic() + 1.5
        while (start := time.monotonic()) < end:
            assert client.ask("/good", b"body")[0] == 200
            slowest = max(slowest, time.monotonic() - start)
    assert slowest < 5
    _until(lambda: not server.open)
    assert client.ask("/good", b"body")[0] == 200


def test_head_and_body_share_the_time_of_a_request(start_http):
    _, client = start_http(timeout_seconds=1.0)
    with client.open() as connection:
        start = time.monotonic()
        connection.sendall(_POST)
        threading.Event().wait(0.6)
        connection.sendall(b"Content-Length: 2\r\n\r\na")
        assert _statuses(client.rest(connection)) == [408]
        assert time.monotonic() - start < 1.5


def test_the_time_of_a_request_begins_with_it(start_http):
    _, client = start_http(timeout_seconds=1.0)
    with client.open() as connection:
        for _ in range(3):
            threading.Event().wait(0.6)
            connection.sendall(_GET + b"\r\n")
            assert _statuses(client.answer(connection)) == [200]
        assert client.rest(connection) == b""  # It has waited too long.


def test_a_request_for_a_client_that_has_left_keeps_its_place(start_http):
    entered, allowed = threading.Event(), threading.Event()

    def slow(method, path, body):
        entered.set()
        assert allowed.wait(30)
        return responses.write_json("done")

    server, client = start_http(slow, max_connections=1)
    with client.open() as connection:
        connection.sendall(_EMPTY_POST)
        assert entered.wait(30)
    threading.Event().wait(0.1)
    assert _statuses(client.say(_EMPTY_POST)) in ([503], [])
    allowed.set()
    _until(lambda: not server.open)
    assert client.ask("/x", b"") == (200, "done")


def test_a_client_that_sends_no_more_gets_its_answers(start_http):
    _, client = start_http()
    with client.open() as connection:
        connection.sendall(_GET + b"\r\n" + _GET + b"\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert _statuses(client.rest(connection)) == [200, 200]


def test_a_body_that_is_refused_does_not_cost_the_client_its_answer(
    start_http,
):
    _, client = start_http()
    for _ in range(5):
        with client.open() as connection:
            connection.sendall(_POST + b"Content-Length: 30000000\r\n\r\n")
            connection.sendall(b"x" * 30_000_000)
            assert _statuses(client.rest(connection)) == [413]


def test_a_body_is_asked_for_unless_it_is_refused(start_http):
    _, client = start_http()
    expecting = _POST + b"Expect: 100-continue\r\nContent-Length: "
    with client.open() as connection:
        connection.sendall(expecting + b"4\r\n\r\n")
        assert _statuses(connection.recv(1 << 16)) == [100]
        connection.sendall(b"body")
        assert b'"body": "body"' in client.answer(connection)
    assert _statuses(client.say(expecting + b"40000000\r\n\r\n")) == [413]


_HERE = limits.list_expected_hosts("127.0.0.1", "127.0.0.1")


def _check(hosts, *fields, version="1.0"):
    raw = [(name.lower().encode(), value.encode()) for name, value in fields]
    limits.check_origin(datastructures.Headers(raw=raw), hosts, version)


@pytest.mark.parametrize(
    ("asked", "bound", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", {"localhost", "127.0.0.1", "::1"}),
        ("::1", "::1", {"localhost", "127.0.0.1", "::1"}),
        (
            "My.Name", "127.0.0.2",
            {"localhost", "127.0.0.1", "::1", "my.name", "127.0.0.2"},
        ),
        ("0.0.0.0", "0.0.0.0", None),
        ("::", "::", None),
        ("10.1.2.3", "10.1.2.3", None),
        ("fe80::1%eth0", "fe80::1%eth0", None),
    ],
)  # fmt: skip
def test_names_are_known_where_this_machine_alone_may_ask(
    asked, bound, expected
):
    assert limits.list_expected_hosts(asked, bound) == expected


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (("Host", "localhost"),),
        (("Host", "LOCALHOST:8501"),),
        (("Host", "127.0.0.1:9999"),),
        (("Host", "[::1]:8501"),),
        (("Host", "localhost:8501"), ("Origin", "http://localhost:8501")),
        (("Host", "127.0.0.1:1"), ("Origin", "https://127.0.0.1:1")),
    ],
)
def test_programs_and_the_own_page_pass(fields):
    _check(_HERE, *fields)


@pytest.mark.parametrize(
    "fields",
    [
        (("Host", "rebound.example"),),
        (("Host", "rebound.example:8501"),),
        (("Host", "localhost.example"),),
        (("Host", "127.0.0.1.example"),),
        (("Host", ""),),
        (("Host", "localhost:1"), ("Origin", "http://evil.example")),
        (("Host", "localhost:1"), ("Origin", "http://localhost:2")),
        (("Host", "localhost:1"), ("Origin", "http://localhost")),
        (("Host", "localhost:1"), ("Origin", "null")),
        (
            ("Host", "localhost:1"),
            ("Origin", "http://localhost:1"), ("Origin", "http://a"),
        ),
        (("Origin", "http://localhost:1"),),
    ],
)  # fmt: skip
def test_foreign_pages_are_refused(fields):
    with pytest.raises(failures.RequestError) as error:
        _check(_HERE, *fields)
    assert error.value.status == 403


def test_two_hosts_are_malformed():
    with pytest.raises(failures.RequestError) as error:
        _check(_HERE, ("Host", "localhost"), ("Host", "localhost"))
    assert error.value.status == 400


def test_where_others_may_ask_any_name_will_do_but_no_foreign_page():
    _check(None, ("Host", "gpu.example:80"))
    _check(None, ("Host", "a.example"), ("Origin", "http://a.example"))
    with pytest.raises(failures.RequestError) as error:
        _check(None, ("Host", "a.example"), ("Origin", "http://b.example"))
    assert error.value.status == 403


def test_host_is_needed_from_http_1_1_on():
    with pytest.raises(failures.RequestError, match="missing") as error:
        _check(_HERE, version="1.1")
    assert error.value.status == 400
    _check(_HERE, version="1.0")


@pytest.mark.parametrize(
    "host",
    [
        "me@127.0.0.1",
        "localhost@rebound.example",
        "[",
        "127.0.0.1/x",
        "a b",
        "127.0.0.1:x",
        "[::1",
        "a:1:2",
        "[127.0.0.1]",
    ],
)
def test_what_cannot_be_a_host_is_refused(host):
    with pytest.raises(failures.RequestError, match="NAME:PORT") as error:
        _check(_HERE, ("Host", host))
    assert error.value.status == 400
