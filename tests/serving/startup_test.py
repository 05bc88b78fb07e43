"""Tests of tf_finetune/serving/startup.py."""

import json
import os
import urllib.error
import urllib.request

import pytest

import tf_finetune
from tf_finetune import errors, files
from tf_finetune.config import serve_config
from tf_finetune.serving import startup, version_files


@pytest.fixture
def workdir(tmp_path):
    """A finished run with versions 1 and 2."""
    files.write_json(tmp_path / "run.json", {"status": "finished"})
    for name in ("1", "2"):
        (tmp_path / "export" / name).mkdir(parents=True)
        (tmp_path / "export" / name / "saved_model.pb").touch()
    return tmp_path


def test_the_newest_export_of_the_run_is_chosen(workdir):
    config = serve_config.ServeConfig(workdir=str(workdir))
    assert startup.find_served_version(config) == workdir / "export" / "2"


def test_a_folder_of_exports_needs_no_run(workdir):
    config = serve_config.ServeConfig(
        exports=str(workdir / "export"), version=1
    )
    assert startup.find_served_version(config) == workdir / "export" / "1"


def test_a_run_without_export_names_the_command(tmp_path):
    files.write_json(tmp_path / "run.json", {"status": "finished"})
    with pytest.raises(errors.UsageError, match=f"export --workdir={tmp_path}"):
        tf_finetune.serve(tmp_path)


def test_an_unknown_option_is_answered_with_the_nearest(workdir):
    with pytest.raises(errors.UsageError, match="Did you mean port"):
        tf_finetune.serve(workdir, prot=1)


@pytest.fixture
def start(exported, tmp_path):
    """A function that starts a server of the small SavedModel here."""

    def start(**keywords):
        return tf_finetune.start_server(
            exports=str(exported), model_name="small", grpc_port=None,
            report=lambda text: None, **keywords,
        )  # fmt: skip

    return start


def _ask(server):
    body = json.dumps({"instances": ["abc"]}).encode()
    request = urllib.request.Request(f"{server.address}:predict", body)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["predictions"][0]["length"]


def test_a_server_in_the_background_answers_until_it_is_stopped(start):
    server = start(port=0)
    assert server.address.endswith("/v1/models/small")
    assert _ask(server) == 3
    server.stop()
    with pytest.raises(urllib.error.URLError):
        _ask(server)


def test_the_port_is_free_again_after_a_block(start):
    with start(port=0) as server:
        port = int(server.address.split(":")[2].split("/")[0])
    with start(port=port) as again:
        assert _ask(again) == 3


def test_a_server_that_cannot_listen_leaves_nothing_behind(start):
    with start(port=0) as server:
        port = int(server.address.split(":")[2].split("/")[0])
        with pytest.raises(errors.UsageError, match=f"--port={port}"):
            start(port=port)
        assert _ask(server) == 3


@pytest.fixture
def exports(tmp_path):
    """Versions 2 and 10, and what is none."""
    for name in ("2", "10"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "11").mkdir()  # Empty.
    (tmp_path / ".tmp-0123abcd-12").mkdir()
    (tmp_path / ".tmp-0123abcd-12" / "saved_model.pb").touch()
    (tmp_path / "parity.json").touch()
    return tmp_path


def test_the_newest_version_is_the_greatest_number(exports):
    assert startup.find_version(exports, None, command="c") == exports / "10"


def test_an_older_version_can_be_asked_for(exports):
    assert startup.find_version(exports, 2, command="c") == exports / "2"


def test_a_version_that_is_not_there_is_answered_with_those_that_are(exports):
    with pytest.raises(errors.UsageError, match="Versions there: 2, 10"):
        startup.find_version(exports, 11, command="c")


@pytest.mark.parametrize("name", ["", "gone"])
def test_no_export_is_answered_with_the_command_that_makes_one(tmp_path, name):
    with pytest.raises(errors.UsageError, match="first: python -m x"):
        startup.find_version(tmp_path / name, None, command="python -m x")


def test_the_models_name_stands_in_model_config(tmp_path):
    assert version_files.read_model_name(tmp_path) == "model"
    (tmp_path / "model.config").write_text(
        'model_config_list {\n  config {\n    name: "flowers"\n'
        '    base_path: "/models/flowers"\n  }\n}\n'
    )
    assert version_files.read_model_name(tmp_path) == "flowers"


@pytest.mark.parametrize("name", ["variables", "assets/extra"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_would_be_waited_for_is_refused(exports, name, kind):
    path = exports / "10" / name
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(errors.RunError, match="not a regular file but"):
        startup.find_version(exports, None, command="c")
    assert startup.find_version(exports, 2, command="c") == exports / "2"


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge"])
def test_a_name_that_cannot_be_read_is_none(exports, kind):
    path = exports / "model.config"
    {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
        "huge": lambda: path.write_text('name: "a"' + " " * (1 << 20)),
    }[kind]()
    assert version_files.read_model_name(exports) == "model"
