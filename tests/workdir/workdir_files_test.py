"""Workdirs that somebody else made: nothing in them is taken on trust."""

import json
import os
import pathlib
import sys

import pytest

from tf_finetune import errors
from tf_finetune.config import command_configs, options
from tf_finetune.preflight import evaluate, export, finished_run_files, predict
from tf_finetune.workdir import recorded_config, workdir_files

_PARTS = (
    ("task", "trap:TASK", "trap:TASK"),
    ("data_format", "trap:SOURCE", "trap:SOURCE"),
    ("backbone", "trap:SPEC@0.5+se", "trap:SPEC"),
    ("head", "trap:build", "trap:build"),
    ("optimizer", "trap:Optimizer", "trap:Optimizer"),
    ("objective", "trap:learn", "trap:learn"),
)


@pytest.fixture
def place(tmp_path):
    """A folder with the files of a finished run, but for its model."""
    path = tmp_path / "run"
    path.mkdir()
    facts = {
        "status": "finished",
        "data_fingerprint": "f",
        "model": {"image_size": 8},
    }
    described = {
        "class_names": ["a", "b"],
        "classes": {"train": {"a": 1, "b": 2}},
        "images": {"train": 3, "validation": 1},
    }
    (path / "run.json").write_text(json.dumps(facts))
    (path / "data.json").write_text(json.dumps(described))
    (path / "evaluation.json").write_text('{"data_fingerprint": "f"}')
    (path / "run.flags").write_text("--data=pictures\n")
    return workdir_files.Workdir(path)


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module that shows that it was imported; returns if it was."""
    (tmp_path / "trap.py").write_text("TASK = SOURCE = SPEC = build = None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda: sys.modules.pop("trap", None) is not None
    sys.modules.pop("trap", None)


def _configs(place, **more):
    return (
        (predict.check_prediction, command_configs.PredictConfig(
            workdir=str(place.path), data="x", **more)),
        (evaluate.check_evaluation, command_configs.EvaluateConfig(
            workdir=str(place.path), **more)),
        (export.check_export, command_configs.ExportConfig(
            workdir=str(place.path), format=("keras",), **more)),
    )  # fmt: skip


@pytest.mark.parametrize(("flag", "value", "part"), _PARTS)
def test_a_part_that_only_the_file_names_is_not_imported(
    place, trap, flag, value, part
):
    place.run_flags.write_text(f"--data=x\n--{flag}={value}\n")
    for check, config in _configs(place):
        with pytest.raises(errors.UsageError) as found:
            check(config)
        assert f"--{flag}={value}" in str(found.value)
        assert str(place.run_flags) in str(found.value)
        assert f"--allow_parts={value}" in str(found.value)
    assert not trap()
    assert recorded_config.load_config(place, allowed=[part]).data.data == "x"
    with pytest.raises(errors.UsageError, match="names a part"):
        recorded_config.load_config(place, allowed=[part[:-1], "trap:other"])


def test_a_part_that_the_caller_types_is_imported(place, trap):
    place.run_flags.write_text("--data=x\n--task=trap:TASK\n")
    assert finished_run_files.load_task(str(place.path), ["trap:TASK"]) is None
    assert trap()


def test_names_with_colons_that_are_no_parts_stay(place):
    place.run_flags.write_text(
        "--data=tfds:mnist:3.0.1\n--weights=C:\\w.h5\n"
        "--fail_below=accuracy:0.9\n--categorical_columns=zip:3\n"
    )
    assert recorded_config.load_config(place).data.data == "tfds:mnist:3.0.1"


@pytest.mark.parametrize(
    "line",
    [
        "--flagfile={}",
        "-flagfile={}",
        "--flagfile\n{}",
        "  --flagfile = {}",
        "--flagfile={0}\n--flagfile={0}",
        "--undefok=data\n--flagfile={}",
        "--undefok=secret",
        "@{}",
    ],
)
def test_a_flagfile_in_run_flags_is_not_followed(place, tmp_path, line):
    secret = tmp_path / "secret"
    secret.write_text("--seed=7\na line that is nobody's business\n")
    place.run_flags.write_text(f"--data=x\n{line.format(secret)}\n")
    with pytest.raises(errors.UsageError, match="another flagfile") as found:
        recorded_config.load_config(place)
    assert "business" not in str(found.value)


@pytest.mark.parametrize("line", ["# --flagfile={}", "// --flagfile={}"])
def test_a_flagfile_in_a_comment_is_a_comment(place, tmp_path, line):
    place.run_flags.write_text(f"{line.format('/dev/zero')}\n--data=x\n")
    assert recorded_config.load_config(place).data.data == "x"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"--data=x\n" * 200_000, "1,800,000 bytes"),
        (b"--" + b"ab" * 5000, "no flag is that long"),
        (b"--epochs=\x1b[31m", r"\\x1b\[31m"),
        (b"--n\xc3\xb6\xe2\x80\xaeflag=1", r"\\u202e"),
        (b"words", "got 'words'"),
        (b"x\x00\xff" * 5000, "…"),
    ],
)
def test_junk_in_run_flags_is_one_printable_sentence(place, content, words):
    place.run_flags.write_bytes(content)
    with pytest.raises(errors.UsageError, match=words) as found:
        recorded_config.load_config(place)
    assert str(found.value).isprintable()
    assert len(str(found.value)) < 1500


_READERS = {
    "run.flags": recorded_config.load_config,
    "run.json": lambda place: place.facts(),
    "data.json": lambda place: place.class_names(),
    "evaluation.json": lambda place: place.figures(),
}


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "link"])
@pytest.mark.parametrize("name", _READERS)
def test_what_is_no_regular_file_of_the_workdir_is_refused(
    place, tmp_path, name, kind
):
    path = place.path / name
    outside = tmp_path / "outside"
    path.rename(outside)
    {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "device": lambda: path.symlink_to("/dev/zero"),
        "link": lambda: path.symlink_to(outside),
    }[kind]()
    words = "outside of" if kind == "link" else "not a regular file but"
    with pytest.raises((errors.RunError, errors.UsageError), match=words):
        _READERS[name](place)


def test_a_workdir_that_is_itself_a_link_is_a_workdir(place, tmp_path):
    (tmp_path / "link").symlink_to(place.path)
    linked = workdir_files.Workdir(tmp_path / "link")
    (place.path / "other.json").write_text("{}")
    assert linked.class_names() == ("a", "b")
    (place.path / "data.json").rename(place.path / "moved.json")
    (place.path / "data.json").symlink_to("moved.json")
    assert linked.class_names() == ("a", "b")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("run.json", "[1, 2]", "it is a list of 2"),
        ("run.json", '{"status": 5}', "status is 5, and must be 'begun'"),
        ("run.json", '{"status": "begun", "model": 5}', "model is 5"),
        ("run.json", '{"status": "finished", "model": {"image_size": "x"}}',
         "model.image_size is 'x'"),
        ("run.json", '{"status": "finished", "model": {"image_size": 1e9}}',
         "model.image_size is 1000000000.0"),
        ("run.json", '{"status": "finished", "largest_batch": -1}',
         "largest_batch is -1"),
        ("data.json", '{"class_names": 5}', "class_names is 5"),
        ("data.json", '{"class_names": []}', "class_names is a list of 0"),
        ("data.json", '{"class_names": ["a", null]}', "names.1. is None"),
        ("data.json", '"\\ud800"', "it is '.ud800'"),
        ("data.json", "{", "is not JSON"),
        ("evaluation.json", "7", "it is 7"),
    ],
)  # fmt: skip
def test_junk_is_one_sentence_with_file_place_and_advice(
    place, name, content, words
):
    (place.path / name).write_text(content)
    with pytest.raises(errors.RunError, match=words) as found:
        _READERS[name](place)
    assert name in str(found.value) and "Copy the workdir" in str(found.value)
    assert str(found.value).isprintable()


def test_what_a_task_reads_of_the_data_is_checked(place):
    task = finished_run_files.load_task(str(place.path))
    assert place.load_description(task.build_data_schema)["class_names"] == [
        "a",
        "b",
    ]
    for changed, words in (
        ({}, "classes is missing"),
        ({"classes": {"train": {"a": 1}}}, "classes.train.b is missing"),
        ({"classes": {"train": {"a": 1, "b": -1}}}, "classes.train.b is -1"),
        ({"classes": {"train": {"a": 1, "b": 1.5}}}, "classes.train.b is 1.5"),
    ):
        content = {"class_names": ["a", "b"], **changed}
        place.data_json.write_text(json.dumps(content))
        with pytest.raises(errors.RunError, match=words):
            place.load_description(task.build_data_schema)


def test_a_missing_file_is_named(place):
    place.data_json.unlink()
    with pytest.raises(errors.RunError, match="data.json is not there"):
        place.class_names()


def test_export_options_of_the_run_are_read_with_its_parts(place):
    config = options.from_keywords(
        command_configs.ExportConfig,
        {"workdir": str(place.path), "calibrate": True, "format": ("keras",)},
    )
    assert export.resolve_export_config(config).data.data == "pictures"
    assert pathlib.Path(config.workdir) == place.path


def test_nothing_is_written_through_a_link_out_of_the_workdir(place, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    assert place.require_inside(place.export) == place.export
    place.export.mkdir()
    assert place.require_inside(place.export) == place.export
    place.export.rmdir()
    for target in (tmp_path / "elsewhere", f"{place.path}-2"):
        place.export.symlink_to(target)
        with pytest.raises(errors.UsageError, match="Remove the link"):
            place.require_inside(place.export)
        place.export.unlink()
