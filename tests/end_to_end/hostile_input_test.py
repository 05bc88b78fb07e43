"""Bad pictures beside good ones: exactly the bad ones are dropped, by name."""

import importlib.util
import pathlib
import shutil

import pytest

from tf_finetune import errors, files

_FIXTURES = pathlib.Path(__file__).parents[1] / "data" / "conftest.py"


def _load_fixtures():
    spec = importlib.util.spec_from_file_location("data_fixtures", _FIXTURES)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hostile_folder = _load_fixtures().hostile_folder
picture_bytes = _load_fixtures().picture_bytes


def test_hostile_files_are_dropped_and_named(hostile_folder, train, tmp_path):
    run, _ = train(
        hostile_folder.folder,
        tmp_path / "run",
        augmentation="medium",
        cache="off",
    )
    found = files.read_json(run.workdir / "data.json")
    dropped = {
        each["path"]: each["reason"] for each in found["dropped"]["files"]
    }
    assert set(dropped) == set(hostile_folder.bad)
    for path, word in hostile_folder.bad.items():
        assert word in dropped[path], path
    assert sum(found["images"].values()) == len(hostile_folder.good)


def test_bad_data_can_be_an_error(hostile_folder, train, tmp_path):
    with pytest.raises(errors.DataError, match="cannot be used"):
        train(hostile_folder.folder, tmp_path / "run", bad_data="error")
    assert not (tmp_path / "run").exists()


def _copy(pictures, tmp_path):
    return pathlib.Path(shutil.copytree(pictures, tmp_path / "pictures"))


def _train(train, folder, tmp_path, **changes):
    own = {"cache_dir": str(tmp_path / "cache"), **changes}
    return train(folder, tmp_path / "run", **own)[0]


def _replace(path: pathlib.Path) -> None:
    shutil.copy(path.parent / "1.png", path)


@pytest.mark.parametrize(
    ("cache", "harm", "words"),
    [
        ("on", _replace, "has different cont"),
        ("off", _replace, "has different cont"),
        ("on", lambda path: path.unlink(), "no longer exists"),
        ("off", lambda path: path.write_bytes(b"<html>"), "has different cont"),
    ],
    ids=["replaced-on", "replaced-off", "removed-on", "damaged-off"],
)
def test_a_picture_that_changes_before_training_stops_the_run(
    pictures, train, tmp_path, monkeypatch, cache, harm, words
):
    from tf_finetune.runs import train as runs

    folder = _copy(pictures, tmp_path)
    learn = runs.run_stages

    def late(context):
        harm(pathlib.Path(context.data.split("train")[0].path))
        return learn(context)

    monkeypatch.setattr(runs, "run_stages", late)
    with pytest.raises(errors.RunError, match=rf"1 pictures.*\.png {words}"):
        _train(train, folder, tmp_path, cache=cache)
    facts = files.read_json(tmp_path / "run" / "run.json")
    assert facts["status"] == "begun"
    assert not (tmp_path / "run" / "evaluation.json").exists()


def test_rows_of_a_replaced_picture_do_not_enter_the_cache(tmp_path):
    from tf_finetune.config import picture_options
    from tf_finetune.feature_cache import fill, store

    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(
            _load_fixtures().encoded(ord(name))
        )
    wanted = fill.make_views(
        [str(tmp_path / "a.png"), str(tmp_path / "b.png")],
        ["a" * 64, "b" * 64],
        number=0,
        level="none",
        seed=0,
    )
    seen = []

    def check(views):
        seen.extend(view.name[0] for view in views)
        raise errors.RunError("changed")

    rows = store.Store(tmp_path / "rows", width=1, dtype="float32")
    with pytest.raises(errors.RunError):
        fill.fill_stores(
            [rows],
            lambda images: [images[:, 0, 0, :1]],
            wanted,
            square=picture_options.Square(8),
            batch_size=2,
            title="",
            check=check,
        )
    assert seen == ["a", "b"]
    again = store.Store(tmp_path / "rows", width=1, dtype="float32")
    assert len(again.missing(["a" * 64, "b" * 64])) == 2


def test_a_workdir_that_vanishes_is_not_called_finished(
    pictures, train, tmp_path, monkeypatch
):
    from tf_finetune.runs import train as runs

    learn = runs.run_stages

    def late(context):
        learned = learn(context)
        shutil.rmtree(tmp_path / "run")
        return learned

    monkeypatch.setattr(runs, "run_stages", late)
    with pytest.raises(errors.RunError, match=r"run\.json vanished"):
        _train(train, pictures, tmp_path)


@pytest.mark.parametrize("name", ["workdir", "cache_dir"])
def test_a_place_that_cannot_be_written_is_one_sentence(
    pictures, command, tmp_path, name
):
    (tmp_path / "file").write_bytes(b"")
    places = {
        "workdir": str(tmp_path / "run"),
        "cache_dir": str(tmp_path / "cache"),
        name: str(tmp_path / "file" / "below"),
    }
    done = command(
        "train",
        f"--data={pictures}",
        "--backbone=small_cnn",
        "--weights=digits",
        "--image_size=32",
        "--epochs=1",
        *(f"--{key}={value}" for key, value in places.items()),
    )
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert f"--{name}" in done.stderr.splitlines()[-1]
