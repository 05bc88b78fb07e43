"""Bad pictures beside good ones: exactly the bad ones are dropped, by name."""

import importlib.util
import pathlib

import pytest

import tf_finetune
from tf_finetune import errors, files

_FIXTURES = pathlib.Path(__file__).parents[1] / "data" / "conftest.py"


def _load_fixtures():
    spec = importlib.util.spec_from_file_location("data_fixtures", _FIXTURES)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hostile_folder = _load_fixtures().hostile_folder
picture_bytes = _load_fixtures().picture_bytes


def test_hostile_files_are_dropped_and_named(
    hostile_folder, settings, tmp_path
):
    run = tf_finetune.fine_tune(
        hostile_folder.folder,
        workdir=str(tmp_path / "run"),
        report=lambda text: None,
        **{**settings, "augmentation": "medium"},
    )
    found = files.read_json(run.workdir / "data.json")
    dropped = {
        each["path"]: each["reason"] for each in found["dropped"]["files"]
    }
    assert set(dropped) == set(hostile_folder.bad)
    for path, word in hostile_folder.bad.items():
        assert word in dropped[path], path
    assert sum(found["images"].values()) == len(hostile_folder.good)


def test_bad_data_can_be_an_error(hostile_folder, settings, tmp_path):
    with pytest.raises(errors.DataError, match="cannot be used"):
        tf_finetune.fine_tune(
            hostile_folder.folder,
            workdir=str(tmp_path / "run"),
            bad_data="error",
            **settings,
        )
    assert not (tmp_path / "run").exists()
