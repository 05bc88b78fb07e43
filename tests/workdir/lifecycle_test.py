"""Tests of tf_finetune/workdir/lifecycle.py and workdir_files.py."""

import os
import re
import shutil

import pytest

from tf_finetune import errors, files
from tf_finetune.config import options, train_config
from tf_finetune.workdir import lifecycle, recorded_config, workdir_files


def _config(**changes) -> train_config.TrainConfig:
    return options.from_keywords(
        train_config.TrainConfig,
        {"data": "/pictures", "backbone": "vgg16", **changes},
    )


def _place(tmp_path, config) -> workdir_files.Workdir:
    place = workdir_files.Workdir(tmp_path / "run")
    with lifecycle.open_workdir(place, config):
        lifecycle.mark_begun(place, config, {"seed": 0})
    return place


def test_run_flags_replays_the_run(tmp_path):
    config = _config(epochs=3, workdir=str(tmp_path / "run"))
    place = _place(tmp_path, config)
    assert recorded_config.load_config(place) == config


def test_an_unfinished_run_is_admitted_again(tmp_path):
    place = _place(tmp_path, _config())
    with lifecycle.open_workdir(place, _config()):
        assert place.facts()["status"] == "begun"


def test_an_unfinished_run_of_other_settings_is_refused(tmp_path):
    place = _place(tmp_path, _config(epochs=3))
    with pytest.raises(errors.UsageError, match="--epochs=3, now 4"):
        lifecycle.check_free(place, _config(epochs=4))


def test_a_finished_run_is_refused_unless_overwritten(tmp_path):
    place = _place(tmp_path, _config())
    lifecycle.mark_finished(place, _config(), {"seconds": 1.0})
    assert place.is_finished
    with pytest.raises(errors.UsageError, match="holds a finished run"):
        lifecycle.check_free(place, _config())
    with lifecycle.open_workdir(place, _config(overwrite=True)):
        assert not place.run_json.exists()


def test_overwriting_removes_only_what_runs_write(tmp_path):
    place = _place(tmp_path, _config())
    (place.path / "thesis.tex").write_text("keep me")
    place.checkpoints.mkdir()
    (place.checkpoints / "epoch-00001-step-00000000.checkpoint").write_bytes(
        b"x"
    )
    lifecycle.clear_workdir(place)
    assert os.listdir(place.path) == ["thesis.tex"]


def test_what_lies_beside_figures_of_other_data_goes_with_them(tmp_path):
    place = workdir_files.Workdir(tmp_path)
    (tmp_path / "evaluation.later.json").write_text("{}")
    for name in ("evaluation.later", "evaluation.mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "predictions.csv").touch()
    lifecycle.clear_workdir(place)
    assert os.listdir(tmp_path) == ["evaluation.mine"]


def test_a_second_process_is_kept_out(tmp_path):
    place = workdir_files.Workdir(tmp_path / "run")
    with (
        lifecycle.open_workdir(place, _config()),
        pytest.raises(errors.UsageError, match="Another process"),
        lifecycle.open_workdir(place, _config()),
    ):
        pass


def test_a_run_that_fails_before_it_begins_leaves_no_folder(tmp_path):
    place = workdir_files.Workdir(tmp_path / "run")
    with pytest.raises(RuntimeError), lifecycle.open_workdir(place, _config()):
        raise RuntimeError
    assert not place.path.exists()


def test_a_file_in_the_way_is_a_clear_error(tmp_path):
    (tmp_path / "run").write_text("a file")
    place = workdir_files.Workdir(tmp_path / "run")
    with (
        pytest.raises(errors.UsageError, match="cannot be written"),
        lifecycle.open_workdir(place, _config()),
    ):
        pass


def test_without_a_name_the_next_free_one_is_chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = lifecycle.choose_workdir(_config())
    assert str(first.path) == "runs/pictures-vgg16"
    with lifecycle.open_workdir(first, _config()):
        lifecycle.mark_begun(first, _config(), {})
    assert lifecycle.choose_workdir(_config()) == first
    lifecycle.mark_finished(first, _config(), {})
    assert (
        str(lifecycle.choose_workdir(_config()).path) == "runs/pictures-vgg16-2"
    )


def test_a_damaged_run_json_is_a_clear_error(tmp_path):
    place = _place(tmp_path, _config())
    place.run_json.write_text('{"status": "fin')
    with pytest.raises(errors.RunError, match="damaged.*--overwrite"):
        place.facts()


def test_an_unfinished_run_cannot_be_used(tmp_path):
    place = _place(tmp_path, _config())
    with pytest.raises(errors.UsageError, match="not finished"):
        place.require_finished()
    with pytest.raises(errors.UsageError, match="No run in"):
        workdir_files.Workdir(tmp_path).require_finished()


def test_clearing_removes_the_mark_of_a_finished_run_first(
    tmp_path, monkeypatch
):
    place = _place(tmp_path, _config())
    files.write_json(place.evaluation, {})
    lifecycle.mark_finished(place, _config(), {})
    removed = []
    monkeypatch.setattr(
        type(place.path), "unlink",
        lambda self, missing_ok=False: removed.append(self.name),
    )  # fmt: skip
    lifecycle.clear_workdir(place)
    assert removed[0] == "run.json"


def test_a_run_whose_folder_vanished_is_not_called_finished(tmp_path):
    place = _place(tmp_path, _config())
    with (
        pytest.raises(errors.RunError, match=r"run\.json vanished"),
        lifecycle.open_workdir(place, _config()),
    ):
        shutil.rmtree(place.path)
        lifecycle.mark_finished(place, _config(), {"seconds": 1.0})
    assert not place.path.exists()


def test_a_run_in_a_folder_that_is_no_utf8_can_be_read_back(tmp_path):
    config = _config(data=os.fsdecode(b"/pictures/\xe9"))
    place = _place(tmp_path, config)
    assert recorded_config.load_config(place).data.data == config.data.data
    lifecycle.check_free(place, config)


@pytest.mark.parametrize(
    ("name", "is_inside"),
    [
        ("data/runs/x", True),
        ("data", True),
        ("data2", False),
        ("elsewhere/data", False),
    ],
)
def test_a_workdir_inside_the_data_is_warned_of(
    tmp_path, caplog, name, is_inside
):
    (tmp_path / "data").mkdir()
    config = options.replace(
        _config(workdir=str(tmp_path / name)), data=str(tmp_path / "data")
    )
    lifecycle.warn_if_inside_data(lifecycle.choose_workdir(config), config)
    assert len(caplog.messages) == is_inside
    for line in caplog.messages:
        assert f"{tmp_path / name} lies inside --data={tmp_path}/data" in line


def _finished(path, config) -> workdir_files.Workdir:
    place = workdir_files.Workdir(path)
    with lifecycle.open_workdir(place, config):
        lifecycle.mark_begun(place, config, {})
        lifecycle.mark_finished(place, config, {})
    return place


def test_a_refusal_names_a_workdir_that_is_free(tmp_path):
    place = _finished(tmp_path / "run", _config())
    (tmp_path / "run-2").mkdir()
    with pytest.raises(errors.UsageError) as refused:
        lifecycle.check_free(place, _config())
    assert f"--workdir={tmp_path}/run-3" in str(refused.value)
    assert "--overwrite" in str(refused.value)
    (flag,) = {*re.findall(r"--workdir=(\S+/run-3)", str(refused.value))}
    advised = _config(workdir=flag)
    lifecycle.check_free(lifecycle.choose_workdir(advised), advised)


def test_a_workdir_of_a_flagfile_is_numbered_when_it_is_taken(tmp_path):
    config = _config(workdir=str(tmp_path / "run"))
    assert lifecycle.number_workdir(config) == config
    _finished(tmp_path / "run", config)
    second = lifecycle.number_workdir(config)
    assert second.output.workdir == str(tmp_path / "run-2")
    _finished(tmp_path / "run-2", second)
    assert lifecycle.number_workdir(config).output.workdir == str(
        tmp_path / "run-3"
    )
    again = options.replace(config, overwrite=True)
    assert lifecycle.number_workdir(again) == again


def test_an_unfinished_run_of_a_flagfile_is_continued(tmp_path):
    config = _config(workdir=str(tmp_path / "run"))
    with lifecycle.open_workdir(lifecycle.choose_workdir(config), config):
        lifecycle.mark_begun(lifecycle.choose_workdir(config), config, {})
    assert lifecycle.number_workdir(config) == config
    other = options.replace(config, epochs=77)
    assert lifecycle.number_workdir(other).output.workdir.endswith("run-2")


def test_workers_share_the_workdir_that_they_are_given(tmp_path):
    config = _config(workdir=str(tmp_path / "run"), strategy="multi_worker")
    _finished(tmp_path / "run", config)
    assert lifecycle.number_workdir(config) == config


def test_a_workdir_in_which_somebody_works_is_passed_over(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    first = lifecycle.choose_workdir(_config())
    with lifecycle.open_workdir(first, _config()):
        second = lifecycle.choose_workdir(_config())
    assert str(second.path) == f"{first.path}-2"
    assert lifecycle.choose_workdir(_config()) == first


def test_a_long_name_of_the_data_is_cut(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = _config(data="/" + 240 * "ü")
    place = lifecycle.choose_workdir(config)
    lifecycle.check_free(place, config)
    place.path.mkdir(parents=True)
    _finished(place.path, config)
    lifecycle.choose_workdir(config).path.mkdir()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (300 * "x", "a name of 300 bytes is too long"),
        (f"new/{150 * 'ü'}/run", "a name of 300 bytes is too long"),
        ("a\0b", "null byte"),
        ("file/run", "Not a directory"),
        ("file", "it is a file"),
    ],
)
def test_a_workdir_that_cannot_be_is_refused_at_once(tmp_path, name, words):
    (tmp_path / "file").touch()
    config = _config(workdir=str(tmp_path / name))
    with pytest.raises(errors.UsageError, match=words) as refused:
        lifecycle.check_free(lifecycle.choose_workdir(config), config)
    assert len(str(refused.value)) < 300
    assert [*tmp_path.iterdir()] == [tmp_path / "file"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name", ["checkpoints", "checkpoints/unlabeled", "tensorboard"]
)
def test_a_run_does_not_go_on_in_folders_elsewhere(tmp_path, name, overwrite):
    config = _config(overwrite=overwrite)
    place = _place(tmp_path, config)
    (tmp_path / "elsewhere").mkdir()
    (place.path / name).parent.mkdir(exist_ok=True)
    (place.path / name).symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(errors.UsageError, match="Remove the link"),
        lifecycle.open_workdir(place, config),
    ):
        pass
    (place.path / name).unlink()
    with lifecycle.open_workdir(place, config):
        pass
