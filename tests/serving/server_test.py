"""Tests of tf_finetune/serving/server.py: the server as a program."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tf_finetune import errors
from tf_finetune.config import serve_config
from tf_finetune.serving import server

_PREDICT = "/v1/models/small:predict"
_GOOD = {"instances": ["abc"]}


def _answers(client):
    status, answer = client.ask(_PREDICT, _GOOD)
    assert (status, answer["predictions"][0]["length"]) == (200, 3)


def test_it_says_where_it_listens_and_answers(program, connect):
    assert program.lines[0].startswith("Serving small, version 3: http://127.")
    assert program.lines[1].startswith("gRPC: ")
    client = connect(program.port)
    _answers(client)
    with client.open() as connection:
        connection.sendall(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        assert b"text/html" in connection.recv(1 << 16)


_BODIES = {
    "nothing": (b"", 400),
    "no JSON": (b"{'instances': 1}", 400),
    "no UTF-8": (b"\xff\xfe{}", 400),
    "broken base64": (b'{"instances": [{"b64": "%%%"}]}', 400),
    "wrong type": (b'{"instances": [1.5]}', 400),
    "NaN": (b'{"instances": [NaN]}', 400),
    "deep lists": (b'{"instances": ' + b"[" * 10**6 + b"]" * 10**6 + b"}", 400),
    "deep objects": (b'{"a":' * 10**5, 400),
    "unknown signature": (
        b'{"signature_name": "x", "instances": ["a"]}', 400,
    ),
    "what the model refuses": (b'{"instances": ["bad"]}', 400),
    "10,000 instances": (
        json.dumps({"instances": ["a"] * 10_000}).encode(), 413,
    ),
    "too large": (b" " * (3 << 20), 413),
}  # fmt: skip


@pytest.mark.parametrize("name", _BODIES)
def test_a_malformed_body_is_refused_and_a_good_one_answered(
    program, connect, name
):
    body, expected = _BODIES[name]
    client = connect(program.port)
    status, answer = client.ask(_PREDICT, body)
    assert status == expected, answer
    assert answer["error"]
    _answers(client)


_POST = b"POST /v1/models/small:predict HTTP/1.1\r\n"


def test_after_all_that_is_malformed_a_good_request_succeeds(program, connect):
    client = connect(program.port)
    chunked = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
    for content in (
        _POST + b"Content-Length: 1000000000\r\n\r\n{",
        _POST + b"Content-Length: 20\r\n\r\n{",  # Half, then silence.
        chunked + b"8000\r\n" + b"x" * (1 << 22),  # Chunks without end.
        chunked + b"zz\r\n",
        _POST + b"Content-Length: 2\r\n\r\n{}" + b"\x00\xffgarbage\r\n" * 9,
        b"\r\n" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00",  # A greeting of TLS.
        b"POST /v1/models/../../etc/passwd:predict HTTP/1.1\r\n\r\n",
    ):
        client.say(content)
    idle = [client.open() for _ in range(200)]
    for connection in idle:
        connection.close()
    _until_it(lambda: _answers(client))
    assert program.process.poll() is None


def _until_it(succeeds):
    """Repeats while the server still closes the connections of before."""
    for _ in range(100):
        try:
            return succeeds()
        except (AssertionError, KeyError, OSError):
            time.sleep(0.05)
    return succeeds()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0(start_program, number, connect):
    program = start_program("--grpc_port=none")
    client = connect(program.port)
    with client.open():  # An idle connection does not hold it up.
        status, rest = program.end(number)
    assert status == 0
    assert rest == "Stopping: current requests are finished first.\n"
    with pytest.raises(ConnectionError):
        client.open()


def test_a_signal_to_a_paused_process_ends_it_when_it_goes_on(start_program):
    # Then the kernel gives the signal to any thread, not to the first one.
    program = start_program("--grpc_port=none")
    program.process.send_signal(signal.SIGSTOP)
    program.process.send_signal(signal.SIGTERM)
    status, _ = program.end(signal.SIGCONT)
    assert status == 0


def test_a_port_that_is_taken_is_a_usage_error(start_program):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        program = start_program(f"--port={port}", "--grpc_port=none")
        assert program.process.wait(60) == 2
    assert f"--port={port} on --host=127.0.0.1" in program.errors()
    assert "Traceback" not in program.errors()


def test_grpc_without_its_stubs_is_off_or_a_usage_error(monkeypatch):
    monkeypatch.setattr(server, "has_grpc", lambda: False)
    server.check_grpc(serve_config.ServeConfig(workdir="w"))
    server.check_grpc(serve_config.ServeConfig(workdir="w", grpc_port=None))
    with pytest.raises(errors.UsageError, match="--no-deps"):
        server.check_grpc(serve_config.ServeConfig(workdir="w", grpc_port=8500))


def test_without_its_libraries_it_says_how_to_install_them(monkeypatch):
    server.check_libraries()
    monkeypatch.setattr(server, "_LIBRARIES", ("starlette", "no_such_one"))
    with pytest.raises(errors.UsageError) as error:
        server.check_libraries()
    assert str(error.value) == (
        "Serving needs no_such_one, not installed here: "
        "pip install 'tf_finetune[serve]'."
    )


def test_libraries_are_missed_before_tensorflow_starts(exported, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "for each in ('starlette', 'uvicorn', 'tensorflow', 'keras'):\n"
        "    sys.modules[each] = None  # As if it were not installed.\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "tf_finetune.serve", f"--exports={exported}"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "pip install 'tf_finetune[serve]'" in done.stderr
    assert "Traceback" not in done.stderr
