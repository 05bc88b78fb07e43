"""The scripts beside the server: client, load test, container."""

import http.client
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import urllib.request

import pytest
from starlette.responses import Response

from tf_finetune.client import __main__ as client

_SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"


@pytest.fixture
def texts(tmp_path):
    """Two files that the small SavedModel measures."""
    for name, content in (("a", b"abc"), ("b", b"hello")):
        (tmp_path / name).write_bytes(content)
    return [str(tmp_path / "a"), str(tmp_path / "b")]


def _run(script, *arguments, **variables):
    start = ["bash"] if script.endswith(".sh") else [sys.executable]
    return subprocess.run(
        [*start, str(_SCRIPTS / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **variables},
    )


def _lengths(done):
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [(each["protocol"], each["answer"]["length"]) for each in lines]


def test_the_client_asks_over_rest(program, texts):
    done = _run(
        "client.py", *texts, f"--rest=http://127.0.0.1:{program.port}",
        "--model=small",
    )  # fmt: skip
    assert _lengths(done) == [("rest", 3), ("rest", 5)]


def test_the_client_asks_over_grpc_and_hears_the_same(program, texts):
    pytest.importorskip("tensorflow_serving")
    address = program.lines[1].removeprefix("gRPC: ").strip()
    done = _run(
        "client.py", *texts, "--rest=none", f"--grpc={address}",
        "--model=small",
    )  # fmt: skip
    assert _lengths(done) == [("grpc", 3), ("grpc", 5)]


def test_the_client_writes_files_and_tells_where(program, texts, capsys):
    folder = pathlib.Path(texts[0]).parent / "out"
    again = folder.parent / "more" / "a"
    again.parent.mkdir()
    again.write_bytes(b"\x89PNG, nearly")
    client.main(
        [*texts, str(again), "--model=small", f"--output={folder}",
         f"--rest=http://127.0.0.1:{program.port}"]
    )  # fmt: skip
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    written = [each["answer"]["first_bytes"] for each in said]
    assert [each["answer"]["first"] for each in said] == ["a", "h", "\ufffd"]
    names = [f"{stem}_rest_first.bin" for stem in ("0_a", "1_b", "2_a")]
    assert written == [str(folder / name) for name in names]
    assert [pathlib.Path(each).read_bytes() for each in written] == [
        b"a", b"h", b"\x89",
    ]  # fmt: skip


def test_bytes_are_told_by_their_size_or_written_by_their_kind(tmp_path):
    png = b"\x89PNG\r\n\x1a\n"
    value = {"a_bytes": png, "b_bytes": [b"\xff\xd8\xff", b""]}
    assert client.replace_bytes(value, "x", None) == {
        "a_bytes": "8 bytes",
        "b_bytes": ["3 bytes", "0 bytes"],
    }
    found = client.replace_bytes(value, "x", tmp_path)
    assert found["a_bytes"] == str(tmp_path / "x_a.png")
    assert found["b_bytes"] == [str(tmp_path / "x_b_0.jpg"), "0 bytes"]
    assert (tmp_path / "x_a.png").read_bytes() == png


def test_a_servers_names_do_not_lead_out_of_the_folder(tmp_path):
    value = {"x/../../../out_bytes": b"1", "\N{GREEK SMALL LETTER PI}": b"2"}
    found = client.replace_bytes(value, "a", tmp_path / "in")
    assert list(found.values()) == [
        str(tmp_path / "in" / "a_x_.._.._.._out.bin"),
        str(tmp_path / "in" / "a_\N{GREEK SMALL LETTER PI}.bin"),
    ]
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a/cat.jpg", "b/cat.jpg", "0_cat.jpg"],
         ["0_cat", "1_cat", "2_0_cat"]),
        (["cat.jpg", "dog.jpg"], ["cat", "dog"]),
    ],
)  # fmt: skip
def test_no_two_pictures_have_files_of_one_name(paths, expected):
    assert client.make_stems([pathlib.Path(each) for each in paths]) == expected


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (502, b"<html>", "answers 502: Bad Gateway"),
        (400, b'{"message": "no"}', "answers 400: Bad Request"),
        (400, b'["no"]', "answers 400: Bad Request"),
        (200, b"<html>", "no answer in JSON"),
        (200, b'{"outputs": []}', "has no 'predictions' for 1 pictures"),
        (200, b'{"predictions": []}', "has no 'predictions' for 1 pictures"),
    ],
)
def test_the_client_says_what_is_wrong_with_an_answer(
    start_http, texts, status, body, said
):
    _, server = start_http(lambda *_: Response(body, status))
    with pytest.raises(SystemExit) as ended:
        client.main([texts[0], f"--rest={server.address}", "--model=m"])
    assert said in ended.value.code
    assert "\n" not in ended.value.code


@pytest.mark.parametrize(
    "error", [TimeoutError("timed out"), http.client.RemoteDisconnected("gone")]
)
def test_the_client_says_that_a_server_does_not_answer(
    texts, monkeypatch, error
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(SystemExit, match=f"no answer from .*: {error}"):
        client.main([texts[0], "--model=m"])


def test_the_client_says_which_picture_cannot_be_read(tmp_path):
    with pytest.raises(SystemExit, match="none.jpg cannot be read: No such"):
        client.main([str(tmp_path / "none.jpg"), "--model=m"])


def test_the_clients_error_is_a_sentence(program, texts):
    done = _run(
        "client.py", *texts, f"--rest=http://127.0.0.1:{program.port}",
        "--model=other",
    )  # fmt: skip
    assert done.returncode == 1
    assert "404" in done.stderr and "Traceback" not in done.stderr


def test_the_load_test_prints_a_row_for_each_crowd(program, texts):
    done = _run(
        "load_test.py", f"--pictures={pathlib.Path(texts[0]).parent}/[ab]",
        f"--address=http://127.0.0.1:{program.port}", "--model=small",
        "--clients=1,3", "--requests=12",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (\d+) \| [1-9]\d* \|", done.stdout, re.MULTILINE)
    assert rows == ["1", "3"]


def test_the_load_test_stays_on_this_machine(texts):
    done = _run(
        "load_test.py", f"--pictures={texts[0]}",
        "--address=http://example.com", "--model=small",
    )  # fmt: skip
    assert done.returncode == 1
    assert "this machine" in done.stderr


def _container(folder):
    done = _run("serve_tensorflow_serving.sh", folder, DOCKER="echo")
    assert done.returncode == 0, done.stderr
    return shlex.split(done.stdout)


def test_the_container_gets_the_export_read_only_on_loopback(exported):
    words = _container(exported)
    mount = f"type=bind,source={exported},target=/models/model,readonly"
    assert mount in words
    assert "127.0.0.1:8501:8501" in words and "127.0.0.1:8500:8500" in words
    assert re.fullmatch(r"tensorflow/serving:\d+\.\d+\.\d+", words[-1])


def test_another_image_can_be_chosen(exported):
    done = _run(
        "serve_tensorflow_serving.sh", exported, DOCKER="echo", IMAGE="mine:1"
    )
    assert shlex.split(done.stdout)[-1] == "mine:1"


@pytest.mark.parametrize(
    ("script", "arguments"),
    [("client.py", ["a.jpg"]), ("load_test.py", ["--pictures=a.jpg"])],
)
def test_the_models_name_must_be_given(script, arguments):
    done = _run(script, *arguments)
    assert done.returncode == 2
    assert "--model" in done.stderr


def test_the_container_uses_the_settings_beside_the_versions(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    (tmp_path / "model.config").write_text(
        'model_config_list {\n  config {\n    name: "flowers"\n'
        '    base_path: "/models/flowers"\n  }\n}\n'
    )
    (tmp_path / "batching_parameters.txt").touch()
    words = _container(tmp_path)
    folder = "/models/flowers"
    assert words[-3:] == [
        f"--model_config_file={folder}/model.config",
        "--enable_batching",
        f"--batching_parameters_file={folder}/batching_parameters.txt",
    ]
    assert f"type=bind,source={tmp_path},target={folder},readonly" in words


def test_a_folder_without_versions_is_an_error(tmp_path):
    done = _run("serve_tensorflow_serving.sh", tmp_path, DOCKER="echo")
    assert done.returncode == 2
    assert "no version of a SavedModel" in done.stderr
