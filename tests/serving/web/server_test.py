"""Tests of tf_finetune/serving/web/server.py, over a connection."""

import json
import threading
import urllib.request

import pytest

from tf_finetune.serving.web import request_bodies, responses, server


@pytest.fixture(scope="module")
def client(served, connect):
    """A client of the small SavedModel's web server."""
    made = server.Server(
        ("127.0.0.1", 0),
        server.list_routes([served]),
        request_bodies.ClientLimits(
            max_request_bytes=1 << 20, max_connections=8, timeout_seconds=30.0
        ),
        request_bodies.ByteBudget(1 << 22),
    )
    yield connect(made.port)
    made.stop(10)


def test_names_of_classes_are_there_for_the_page(client):
    assert client.ask("/labels") == (200, ["ants", "bees"])


def test_the_page_is_there_with_its_policy(client):
    with urllib.request.urlopen(client.address + "/?query") as response:
        assert b"<html" in response.read()
        fields = response.headers
    assert fields["Content-Type"] == "text/html; charset=utf-8"
    assert fields["Content-Security-Policy"].startswith("default-src 'none'")
    assert fields["X-Content-Type-Options"] == "nosniff"
    assert fields["Cache-Control"] == "no-store"
    assert fields["Server"] == "tf_finetune"


def test_tensorflow_servings_paths_are_taken_as_they_were_sent(client):
    status, answer = client.ask("/v1/models/..%2f..%2fetc")
    assert status == 404
    assert "Latest(../../etc)" in answer["error"]
    for path in ("/v1/models/small%2fmetadata", "/v1/models/small%0a"):
        assert client.ask(path)[0] == 404
    assert client.ask("/V1/Models/small")[0] == 200


def test_other_paths_and_methods_are_errors_in_json(client):
    for path in (
        "/etc/passwd",
        "/labels/",
        "/a%0ab",
        "//",
        "/assets/a.html",
    ):
        status, answer = client.ask(path)
        assert status == 404, path
        assert answer["error"]
    for path in ("/", "/labels"):
        assert client.ask(path, {})[0] == 404
    for method in ("HEAD", "PUT", "OPTIONS", "TRACE"):
        answer = client.say(
            f"{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )
        refused = 501 if method == "TRACE" else 405
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % refused)
        assert method in ("HEAD", "TRACE") or b"allow: GET, POST" in head
        assert method == "HEAD" or json.loads(body)["error"]


def test_only_what_computes_takes_a_thread(start_http):
    def name_thread(method, path, body):
        return responses.write_json(threading.current_thread().name)

    _, client = start_http(name_thread)
    assert not client.ask("/x")[1].startswith("rest")
    assert client.ask("/x", b"")[1].startswith("rest")


def test_a_prediction_is_answered_byte_for_byte(client):
    body = b'{"instances": ["abc", {"b64": "aGk="}]}'
    answer = client.say(
        b"POST /v1/models/small:predict HTTP/1.1\r\nHost: localhost\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    head, _, content = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/json\r\n" in head
    assert content == (
        b'{"predictions": [{"first": "a", "first_bytes": {"b64": "YQ=="}, '
        b'"length": 3, "probabilities": [0.3, 0.7]}, {"first": "h", '
        b'"first_bytes": {"b64": "aA=="}, "length": 2, '
        b'"probabilities": [0.2, 0.8]}]}'
    )
