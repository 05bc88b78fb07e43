"""Runs whose frozen part is computed once, against runs without the cache."""

import pathlib
import shutil
import signal

import numpy as np
import pytest
import quiet
import tensorflow as tf

from tf_finetune import errors, files
from tf_finetune.config import options, train_config
from tf_finetune.data import pipeline
from tf_finetune.data.images import decoding
from tf_finetune.feature_cache import entries, fill
from tf_finetune.runs import cache_choice
from tf_finetune.training import fine_tuning

_ON = {"trainable": "top", "cache": "on", "augmentation_views": 2}
_AS_THEY_ARE = {"cache": "on", "augmentation": "none", "epochs": 3}


@pytest.fixture(scope="module")
def filled(pictures, train, tmp_path_factory):
    """A run that filled a cache, `cache` beside its workdir."""
    folder = tmp_path_factory.mktemp("filled")
    return train(
        pictures, folder / "run", **_ON, cache_dir=str(folder / "cache")
    )[0]


@pytest.fixture(scope="module")
def unaugmented(pictures, train, tmp_path_factory):
    """The same with pictures as they are; none of it may be written to."""
    folder = tmp_path_factory.mktemp("unaugmented")
    changes = {"cache_dir": str(folder / "cache"), **_AS_THEY_ARE}
    return train(pictures, folder / "run", **changes, trainable="top")[0]


@pytest.fixture
def call(pictures, train, tmp_path):
    """Runs with a cache of the test's own; returns the run and its log."""
    own = {"cache_dir": str(tmp_path / "cache"), "trainable": "top"}
    return lambda name, **changes: train(
        pictures, tmp_path / name, **{**own, **changes}
    )


def _weights(run) -> list[np.ndarray]:
    return run.model.get_weights()


def _shards(tmp_path) -> list[pathlib.Path]:
    return sorted((tmp_path / "cache" / "features").glob("*/*.rows"))


def test_without_augmentation_both_ways_train_alike(call, unaugmented):
    on = unaugmented
    off, _ = call("off", **{**_AS_THEY_ARE, "cache": "off"})
    for ours, theirs in zip(_weights(on), _weights(off), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    for ours, theirs in zip(on.history, off.history, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-4)
    assert files.read_json(on.workdir / "run.json")["cache"] == "on"
    assert files.read_json(off.workdir / "run.json")["cache"] == "off"


def test_the_second_run_computes_nothing_and_gives_the_same_numbers(
    call, filled, tmp_path
):
    shutil.copytree(filled.workdir.with_name("cache"), tmp_path / "cache")
    before = {path: path.stat().st_mtime_ns for path in _shards(tmp_path)}
    second, _ = call("second", **_ON)
    after = {path: path.stat().st_mtime_ns for path in _shards(tmp_path)}
    assert after == before
    for ours, theirs in zip(_weights(filled), _weights(second), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert filled.evaluation == second.evaluation


def test_a_flipped_byte_is_found_and_the_numbers_stay(call, filled, tmp_path):
    shutil.copytree(filled.workdir.with_name("cache"), tmp_path / "cache")
    for path in _shards(tmp_path):
        data = bytearray(path.read_bytes())
        data[-5] ^= 64
        path.write_bytes(data)
    damaged = {path: path.read_bytes() for path in _shards(tmp_path)}
    second, _ = call("second", **_ON)
    assert not set(damaged) & set(_shards(tmp_path))
    for ours, theirs in zip(_weights(filled), _weights(second), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_the_figures_are_those_of_the_saved_model(filled):
    figures = quiet.evaluate(filled.workdir)
    for split in ("train", "validation", "test"):
        for name in ("accuracy", "log_loss"):
            assert figures[split][name] == pytest.approx(
                filled.evaluation[split][name], abs=1e-5
            )


def test_auto_decides_once_and_the_replay_does_the_same(call):
    run, _ = call("run")
    decided = files.read_json(run.workdir / "run.json")["cache"]
    flags = options.from_flagfile(
        train_config.TrainConfig, str(run.workdir / "run.flags")
    )
    assert flags.output.cache == decided in ("on", "off")


def test_what_auto_decided_stays_when_an_interrupted_run_goes_on(
    call, monkeypatch
):
    class Killed(Exception):
        pass

    def killed(*_, **__):
        raise Killed

    def unasked(*_):
        raise AssertionError("it was measured again")

    off = cache_choice.CacheChoice(reads_cache=False)
    with monkeypatch.context() as patch:
        patch.setattr(cache_choice, "_choose_faster", lambda context: off)
        patch.setattr(fine_tuning, "fit_trainer", killed)
        with pytest.raises(Killed):
            call("run", epochs=1)
    monkeypatch.setattr(cache_choice, "_choose_faster", unasked)
    run, _ = call("run", epochs=1)
    assert files.read_json(run.workdir / "run.json")["cache"] == "off"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"augmentation": "strong"}, "mixes pictures"),
        ({"trainable": "all"}, "first trainable layer"),
        ({"cache_gb": 1e-6}, "--cache_gb"),
    ],
)
def test_on_where_it_cannot_be_is_an_error_that_says_why(call, changes, why):
    with pytest.raises(errors.UsageError, match=why):
        call("run", cache="on", **changes)


def test_auto_goes_on_without_the_cache_where_it_cannot_be(call):
    run, _ = call("run", augmentation="strong", epochs=1)
    assert files.read_json(run.workdir / "run.json")["cache"] == "off"


def test_what_can_be_computed_once_is_in_the_plan(call):
    _, log = call("run", cache="on", plan=True)
    assert "of the forward pass is frozen and can be cached" in log


def test_an_earlier_runs_features_make_room_for_a_new_ones(call, tmp_path):
    def features():
        found = entries.list_entries(tmp_path / "cache")
        return {e.name: e for e in found if e.name.startswith("features")}

    call("first", cache="on")
    first = features()
    limit = 1.3e-9 * sum(entry.size_bytes for entry in first.values())
    call("again", cache="on", cache_gb=limit)
    assert features().keys() == first.keys()
    call("second", weights="none", cache="on", cache_gb=limit)
    large = max(first.values(), key=lambda entry: entry.size_bytes)
    assert features() and large.name not in features()


def test_after_the_top_moved_nothing_below_it_is_computed_again(
    call, unaugmented, tmp_path, monkeypatch
):
    first = unaugmented
    shutil.copytree(first.workdir.with_name("cache"), tmp_path / "cache")
    computed = []
    real = fill.fill_stores

    def spy(into, network, wanted, **keywords):
        def counted(images):
            computed.append(len(images))
            return network(images)

        return real(into, counted, wanted, **keywords)

    monkeypatch.setattr(fill, "fill_stores", spy)
    again = {
        "weights": str(first.workdir),
        "augmentation": "none",
        "seed": 4,
    }
    second, _ = call("second", cache="on", **again)
    assert not computed
    monkeypatch.undo()
    other, _ = call(
        "third", cache="on", cache_dir=str(tmp_path / "empty"), **again
    )
    for split in ("train", "validation"):
        ours, theirs = (
            run.evaluation[split]["baselines"]["probe"]["log_loss"]
            for run in (second, other)
        )
        assert ours == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"trainable": "head", "epochs": 0},
        {"trainable": "top", "cache": "on", "augmentation": "none"},
    ],
    ids=["head", "top"],
)
def test_each_picture_as_it_is_is_decoded_once(call, changes, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("pictures are read a second time")

    decoded = []
    original = decoding.load_bytes

    def counting(contents, square):
        if isinstance(contents, bytes):
            decoded.append(contents)
        return original(contents, square)

    def load_for_check(path, square):
        return original(tf.io.read_file(path), square)

    monkeypatch.setattr(decoding, "load_bytes", counting)
    # Four pictures are decoded again, to check what the cache holds.
    monkeypatch.setattr(decoding, "load_file", load_for_check)
    monkeypatch.setattr(pipeline, "build_evaluation_images", fail)
    first, _ = call("first", **changes)
    assert len(decoded) == 48
    decoded.clear()
    second, _ = call("second", **changes)
    assert not decoded
    assert second.evaluation["validation"] == first.evaluation["validation"]


def test_a_killed_build_goes_on_with_what_it_had_written(
    pictures, settings, tmp_path, start, unaugmented
):
    flags = {
        **settings,
        **_AS_THEY_ARE,
        "trainable": "top",
        "data": pictures,
        "cache_dir": tmp_path / "cache",
        "workdir": tmp_path / "run",
    }
    # A shard a batch; the process is killed as it is about to write the third.
    code = (
        "import os, runpy, signal\n"
        "from tf_finetune.feature_cache import fill, store\n"
        "fill._SECONDS_PER_SHARD = 0\n"
        "put, count = store.Store.put, [0]\n"
        "def counted(*arguments):\n"
        "    count[0] += 1\n"
        "    if count[0] == 5:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return put(*arguments)\n"
        "store.Store.put = counted\n"
        "runpy.run_module('tf_finetune.train', run_name='__main__')\n"
    )
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    done = start(["-c", code, *arguments], tmp_path).wait(timeout=300)
    assert done.returncode == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in _shards(tmp_path)}
    assert len(before) == 4  # Two batches, of features and of what crosses.
    del flags["data"]
    again = quiet.fine_tune(pictures, **flags)
    after = {path: path.stat().st_mtime_ns for path in _shards(tmp_path)}
    assert before.items() < after.items()
    for ours, theirs in zip(
        _weights(again), _weights(unaugmented), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
