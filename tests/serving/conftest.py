"""Servers to talk to: one of a function, one of a small SavedModel."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from starlette.responses import Response

from tf_finetune.serving.web import request_bodies, responses, server


class Client:
    """What tests say to a server, politely or not."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = f"http://127.0.0.1:{port}"

    def ask(self, path, body=None, headers=None):
        """Returns status and parsed JSON of one request."""
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        request = urllib.request.Request(
            self.address + path, data=body, headers=headers or {}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def open(self) -> socket.socket:
        """Returns a bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def say(self, content: bytes) -> bytes:
        """Sends bytes; returns all that comes until the server closes."""
        with self.open() as connection:
            # The server may close before it has read everything.
            with contextlib.suppress(ConnectionError):
                connection.sendall(content)
            return self.rest(connection)

    def answer(self, connection: socket.socket) -> bytes:
        """Returns one answer, with its head; the connection stays open."""
        got = b""
        while b"\r\n\r\n" not in got:
            got += _received(connection)
        head, _, body = got.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", head)[1])
        while len(body) < length:
            body += _received(connection)
        return head + b"\r\n\r\n" + body

    def rest(self, connection: socket.socket) -> bytes:
        """Returns all that comes until the server closes."""
        got = bytearray()
        with contextlib.suppress(ConnectionError):
            while block := connection.recv(1 << 16):
                got += block
        return bytes(got)


def _received(connection: socket.socket) -> bytes:
    block = connection.recv(1 << 16)
    assert block, "the server has closed the connection"
    return block


class Program:
    """`python -m tf_finetune.serve`, once it listens or has failed."""

    def __init__(self, exports, folder, *flags) -> None:
        self._errors = open(folder / "stderr.txt", "w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "tf_finetune.serve",
                f"--exports={exports}", "--port=0", *flags,
            ],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=folder,
        )  # fmt: skip
        self.lines = [self.process.stdout.readline() for _ in range(2)]
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", self.lines[0])
        self.port = int(found[1]) if found else None

    def errors(self) -> str:
        """Returns what it wrote to stderr."""
        self._errors.seek(0)
        return self._errors.read()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Returns the exit status and what was printed last."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=60)
        return self.process.returncode, rest

    def kill(self) -> None:
        """Ends it for certain."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._errors.close()


def echo(method: str, path: str, body: bytes) -> Response:
    """Answers with what was asked."""
    return responses.write_json(
        {"method": method, "path": path, "body": body.decode("latin-1")}
    )


@pytest.fixture(scope="session")
def connect():
    """A function from a port to a client."""
    return Client


@pytest.fixture(scope="session")
def program(exported, tmp_path_factory):
    """A program that serves the small SavedModel, with tight limits."""
    from tf_finetune.serving import server as serving_server

    grpc_port = "0" if serving_server.has_grpc() else "none"
    started = Program(
        exported, tmp_path_factory.mktemp("program"), "--model_name=small",
        "--timeout_seconds=2", "--max_request_megabytes=2",
        f"--grpc_port={grpc_port}",
    )  # fmt: skip
    yield started
    started.kill()


@pytest.fixture
def start_program(exported, tmp_path):
    """A function that serves the small SavedModel with more flags."""
    started = []

    def start(*flags):
        started.append(Program(exported, tmp_path, *flags))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def start_http():
    """A function that starts an HTTP server of a function."""
    started = []

    def start(answer=echo, *, max_held_bytes=1 << 22, **limits):
        defaults = {
            "max_request_bytes": 1 << 20,
            "max_connections": 16,
            "timeout_seconds": 30.0,
        }
        made = server.Server(
            ("127.0.0.1", 0),
            [server.route_all(answer)],
            request_bodies.ClientLimits(**{**defaults, **limits}),
            request_bodies.ByteBudget(max_held_bytes),
        )
        started.append(made)
        return made, Client(made.port)

    yield start
    for each in started:
        each.stop(10)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A folder of exports: version 3, five signatures, made by hand.

    serving_default: length and first byte of each string; a string that
    begins with "bad" is an error. sums: of two float rows. classify: labels
    and scores, the same for every example. regress: half of each example's
    number. double: of one number, no batch.
    """
    tf = pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("exports")
    labels = tmp_path_factory.mktemp("labels") / "labels.txt"
    labels.write_text("ants\nbees\n")
    module = _module(tf, str(labels))
    tf.saved_model.save(
        module,
        str(folder / "3"),
        signatures={
            "serving_default": module.measure,
            "sums": module.add,
            "classify": module.classify,
            "regress": module.regress,
            "double": module.double,
        },
    )
    return folder


def _module(tf, labels):
    class Module(tf.Module):
        """What the SavedModel holds."""

        def __init__(self):
            super().__init__()
            self.labels = tf.saved_model.Asset(labels)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
        def measure(self, text):
            bad = tf.strings.regex_full_match(text, "bad.*")
            with tf.control_dependencies(
                [tf.debugging.assert_equal(tf.reduce_any(bad), False, "bad!")]
            ):
                lengths = tf.strings.length(text)
            shares = tf.cast(lengths, tf.float32) / 10.0
            return {
                "length": lengths,
                "probabilities": tf.stack([shares, 1.0 - shares], 1),
                "first": tf.strings.substr(text, 0, 1),
                "first_bytes": tf.strings.substr(text, 0, 1),
            }

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 2], tf.float32, "a"),
                tf.TensorSpec([None, 2], tf.float32, "b"),
            ]
        )
        def add(self, a, b):
            return {"sum": a + b}

        @tf.function(input_signature=[tf.TensorSpec([], tf.float32, "x")])
        def double(self, x):
            return {"y": 2.0 * x}

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, "inputs")]
        )
        def regress(self, inputs):
            number = tf.io.parse_example(
                inputs, {"x": tf.io.FixedLenFeature([1], tf.float32)}
            )["x"]
            return {"outputs": number / 2.0}

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, "inputs")]
        )
        def classify(self, inputs):
            length = tf.io.parse_example(
                inputs, {"x": tf.io.FixedLenFeature([], tf.float32)}
            )["x"]
            rows = tf.shape(inputs)[0]
            return {
                "classes": tf.tile([["ants", "bees"]], [rows, 1]),
                "scores": tf.stack([length, -length], 1),
            }

    return Module()


@pytest.fixture(scope="session")
def served(exported):
    """The service of that SavedModel."""
    from tf_finetune.serving import batching, service, version_files

    made = service.Service(
        version_files.load_version(exported / "3", name="small"),
        batching.BatchLimits(
            max_batch_size=8,
            max_delay_seconds=0.0,
            max_queued_rows=64,
            max_batch_weight=1000,
        ),
        max_pixels=1000,
        max_answer_bytes=1 << 20,
    )
    yield made
    made.close()
