"""Data and files of an evaluation of a finished run."""

import dataclasses
import pathlib
import types

import pytest
import sample_pictures

from tf_finetune import errors
from tf_finetune.config import command_configs, data_options, options
from tf_finetune.data import data_statistics
from tf_finetune.runs.finished import run_evaluation
from tf_finetune.tasks import catalog as tasks

_TASK = tasks.TASKS.get("classification")


def _config(**given):
    return options.from_keywords(
        command_configs.EvaluateConfig, {"workdir": "run", **given}
    )


def _inspected(*splits):
    pictures = tuple(
        sample_pictures.make_picture(
            f"{number}.png", "a", f"{number}", split, side=8
        )
        for number, split in enumerate(splits)
    )
    return types.SimpleNamespace(
        pictures=pictures, dropped=(), labels=_TASK.labels
    )


_FOUND = types.SimpleNamespace(
    class_names=("a", "b"),
    place=types.SimpleNamespace(path=pathlib.Path("run")),
)


def test_other_pictures_without_a_split_are_for_testing():
    data = run_evaluation._divide_other_data(
        _FOUND, _inspected(None, "validation", None), {}
    )
    assert [each.split for each in data.pictures] == [
        "test",
        "validation",
        "test",
    ]
    # In the order of the run, also where a class has no picture.
    assert data.class_names == ("a", "b")
    assert data.fingerprint == data_statistics.compute_fingerprint(
        ("a", "b"), data.pictures, _TASK.labels
    )


def test_pictures_that_cannot_be_decoded_are_left_out():
    data = run_evaluation._divide_other_data(
        _FOUND, _inspected(None, None), {"0.png": "cut off"}
    )
    assert [each.path for each in data.pictures] == ["1.png"]
    assert [(each.path, each.reason) for each in data.dropped] == [
        ("0.png", "cut off")
    ]


def test_without_any_usable_picture_there_is_nothing_to_evaluate():
    with pytest.raises(errors.DataError, match="None of the pictures"):
        run_evaluation._divide_other_data(
            _FOUND, _inspected(None), {"0.png": "cut off"}
        )


@pytest.mark.parametrize(
    ("data", "name"),
    [("", "evaluation.again.json"), ("x/photos", "evaluation.photos.json")],
)
def test_figures_go_to_a_file_named_after_the_data(data, name):
    found = run_evaluation._choose_output(_FOUND, _config(data=data))
    assert found == pathlib.Path("run") / name


@pytest.mark.parametrize(
    ("output", "folder"),
    [("a/figures.json", "a/figures"), ("a/figures", "a/figures-files")],
)
def test_charts_go_to_a_folder_beside_the_figures(output, folder):
    found = run_evaluation._choose_chart_folder(pathlib.Path(output))
    assert found == pathlib.Path(folder)


def _check(accuracies, *gates):
    figures = {split: {"accuracy": a} for split, a in accuracies.items()}
    data = types.SimpleNamespace(splits=tuple(accuracies))
    config = _config(fail_below=list(gates))
    return run_evaluation._check_gates(figures, data, config, _TASK)


def test_a_gate_holds_on_the_test_split():
    assert _check({"test": 0.9, "train": 0.1}, "accuracy:0.9") is None
    with pytest.raises(errors.GateError, match="accuracy"):
        _check({"train": 1.0, "test": 0.8}, "accuracy:0.9")


def test_without_a_test_split_a_gate_holds_on_the_last_one():
    with pytest.raises(errors.GateError, match="accuracy"):
        _check({"train": 1.0, "validation": 0.8}, "accuracy:0.9")


def test_rows_without_all_their_pictures_are_kept_with_the_reason(tmp_path):
    table = tmp_path / "rows.csv"
    table.write_text("image,age\na.png,1\nb.png,2\n")
    (picture,) = _inspected("test").pictures
    path = str(tmp_path / "a.png")
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    data = sample_pictures.make_data(
        ("a",), (dataclasses.replace(picture, path=path),)
    )
    source = data_options.DataOptions(
        data=str(table), image_column=("image",), numeric_columns=("age",)
    )
    found = run_evaluation.join_rows(data, source)
    assert [each.path for each in found.data.pictures] == [path]
    (reason,) = found.left_out.values()
    assert "b.png" in reason
