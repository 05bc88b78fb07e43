"""Tests of tf_finetune/serving/version_folders.py."""

import os

import pytest

from tf_finetune import errors
from tf_finetune.serving import version_folders


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
    assert (
        version_folders.find_version(exports, None, command="c")
        == exports / "10"
    )


def test_an_older_version_can_be_asked_for(exports):
    assert (
        version_folders.find_version(exports, 2, command="c") == exports / "2"
    )


def test_a_version_that_is_not_there_is_answered_with_those_that_are(exports):
    with pytest.raises(errors.UsageError, match="Versions there: 2, 10"):
        version_folders.find_version(exports, 11, command="c")


@pytest.mark.parametrize("name", ["", "gone"])
def test_no_export_is_answered_with_the_command_that_makes_one(tmp_path, name):
    with pytest.raises(errors.UsageError, match="first: python -m x"):
        version_folders.find_version(
            tmp_path / name, None, command="python -m x"
        )


def test_the_models_name_stands_in_model_config(tmp_path):
    assert version_folders.read_model_name(tmp_path) == "model"
    (tmp_path / "model.config").write_text(
        'model_config_list {\n  config {\n    name: "flowers"\n'
        '    base_path: "/models/flowers"\n  }\n}\n'
    )
    assert version_folders.read_model_name(tmp_path) == "flowers"


@pytest.mark.parametrize("name", ["variables", "assets/extra"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_would_be_waited_for_is_refused(exports, name, kind):
    path = exports / "10" / name
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(errors.RunError, match="not a regular file but"):
        version_folders.find_version(exports, None, command="c")
    assert (
        version_folders.find_version(exports, 2, command="c") == exports / "2"
    )


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge"])
def test_a_name_that_cannot_be_read_is_none(exports, kind):
    path = exports / "model.config"
    {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
        "huge": lambda: path.write_text('name: "a"' + " " * (1 << 20)),
    }[kind]()
    assert version_folders.read_model_name(exports) == "model"
