"""The documents' servers are started, asked as the documents ask, stopped."""

import ast
import json
import re
import shutil
import signal
import subprocess
import time
import urllib.request

import numpy as np
import pytest
from documents import command_rules, documented_commands
from documents import command_runner as houses
from PIL import Image

from tf_finetune.serving import server as serving_server

_SERVERS = [command for command, _ in command_rules.of_kind("served")]


def _questions(server):
    """Returns what a document asks of a server: up to its next one."""
    found, current = [], None
    for command, rule in command_rules.of_kind("served", "asked"):
        if rule.kind == "served":
            current = command
        elif current == server:
            assert command.document == server.document
            found.append((command, rule))
    return found


def _blocks(server):
    """Returns the blocks of Python that ask this server."""
    name = server.flag("workdir").rpartition("/")[2]
    return [
        code
        for document, code in documented_commands.python_blocks()
        if document == server.document and f"/models/{name}:" in code
    ]


def test_every_question_has_a_server():
    asked = [each for server in _SERVERS for each in _questions(server)]
    assert asked == command_rules.of_kind("asked")
    blocks = [code for server in _SERVERS for code in _blocks(server)]
    written = [code for _, code in documented_commands.python_blocks()]
    assert blocks == [
        each for each in written if documented_commands.asks_a_server(each)
    ]


def _address(process, pattern):
    end = time.monotonic() + houses.PATIENCE_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(pattern, process.predictions()):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(process.wait(1))


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(
            server,
            id=str(server),
            marks=[pytest.mark.campaign]
            * (server.document != "docs/server.md"),
        )
        for server in _SERVERS
    ],
)
def test_a_server_answers_what_the_document_asks_and_ends(server, house):
    house.prepare(server)
    grpc = serving_server.has_grpc()
    process = house.start(
        [*server.words[1:], "--port=0", f"--grpc_port={0 if grpc else 'none'}"]
    )
    try:
        rest = _address(process, r"http://(127\.0\.0\.1:\d+)/")
        addresses = {"127.0.0.1:8501": rest, "127.0.0.1:8500": ""}
        if grpc:
            pattern = r"gRPC: (127\.0\.0\.1:\d+)"
            addresses["127.0.0.1:8500"] = _address(process, pattern)
        with urllib.request.urlopen(f"http://{rest}/", timeout=60) as page:
            assert b"<html" in page.read()
        for command, rule in _questions(server):
            _ask(command, rule, addresses, house)
        for code in _blocks(server):
            done = house.wait(["-c", code.replace("127.0.0.1:8501", rest)])
            assert done.returncode == 0, done.stderr
            (row,) = ast.literal_eval(done.stdout)
            assert row["error"] == "" and np.isfinite(row["values"]).all()
    finally:
        process.send(signal.SIGTERM)
    assert process.wait(60).returncode == 0


def _ask(command, rule, addresses, house):
    text = "\n".join(command.words)
    for written, real in addresses.items():
        text = text.replace(written, real)
    words = text.split("\n")
    if command.words[0] == "curl":
        _curl(command, addresses, house)
    elif command.script == "scripts/client.py":
        rest, grpc = addresses.values()
        words += [f"--rest=http://{rest}", f"--grpc={grpc or 'none'}"]
        done = house.wait(words[1:])
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(lines) == 1 + serving_server.has_grpc()
        for line in lines:
            _is_an_answer(line["answer"], house)
    else:
        rest = addresses["127.0.0.1:8501"]
        words += [f"--address=http://{rest}", *rule.smaller]
        done = house.wait(words[1:])
        assert done.returncode == 0, done.stderr
        assert len(re.findall(r"^\| \d", done.stdout, re.MULTILINE)) == 2


def _curl(command, addresses, house):
    """Types it; without curl, sends what the shell would have given it."""
    rest = addresses["127.0.0.1:8501"]
    text = command.text.replace("127.0.0.1:8501", rest)
    curl = shutil.which("curl")
    given = text if curl else text.replace("curl", "printf '%s\\n'", 1)
    done = subprocess.run(
        ["bash", "-c", given],
        cwd=house.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer = done.stdout
    if not curl:
        flag, body, address = answer.splitlines()
        assert flag == "-d"
        with urllib.request.urlopen(address, body.encode()) as response:
            answer = response.read()
    (prediction,) = json.loads(answer)["predictions"]
    _is_an_answer(prediction, house)


def _is_an_answer(found, house):
    if isinstance(found, list):  # Of `classify`.
        assert {name for name, _ in found} == {"daisy", "rose"}
        assert sum(share for _, share in found) == pytest.approx(1, abs=1e-5)
        return
    assert found["error"] == ""
    if "masks_bytes" in found:
        with Image.open(house.folder / found["masks_bytes"]) as mask:
            assert mask.format == "PNG"
        return
    assert found["classes"] in ("daisy", "rose")
    assert sum(found["probabilities"]) == pytest.approx(1, abs=1e-5)


def test_the_calls_in_sentences_serve_until_they_are_stopped(house):
    spans = [code for _, code in documented_commands.python_spans()]
    (waiting,) = [each for each in spans if ".serve(" in each]
    (behind,) = [each for each in spans if ".start_server(" in each]
    house.prepare(_SERVERS[0])
    free = ", port=0, grpc_port=None)"
    code = f"import tf_finetune\n{behind.replace(')', free)}\nserver.stop()"
    done = house.wait(["-c", code])
    assert done.returncode == 0, done.stderr
    code = f"import tf_finetune\n{waiting.replace(')', free)}"
    process = house.start(["-c", code])
    _address(process, r"http://(127\.0\.0\.1:\d+)/")
    process.send(signal.SIGINT)
    assert process.wait(60).returncode == 0
