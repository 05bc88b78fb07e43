"""Tests of tf_finetune/runs/decisions.py and of who decides."""

import types

import pytest

from tf_finetune import errors, files, workdir
from tf_finetune.config import options, train
from tf_finetune.runs import caching, crossing, decisions


def _course(place, *, is_chief: bool, cache: str = "auto"):
    """What a worker must not look further than."""
    return types.SimpleNamespace(
        config=options.from_keywords(train.TrainConfig, {"cache": cache}),
        fine_tunes=True,
        is_chief=is_chief,
        shared=workdir.Workdir(place),
    )


def test_decisions_are_kept_side_by_side(tmp_path):
    place = workdir.Workdir(tmp_path)
    assert decisions.known(place) == {}
    decisions.note(place, "cache", "on")
    decisions.note(place, "views", "float16")
    assert files.read_json(tmp_path / "checkpoints" / "cache.json") == {
        "cache": "on",
        "views": "float16",
    }
    assert decisions.of_chief(place, "views") == "float16"


@pytest.mark.parametrize("decided", ["on", "off"])
def test_a_worker_uses_the_cache_if_the_chief_does(decided, tmp_path):
    course = _course(tmp_path, is_chief=False, cache="auto")
    decisions.note(course.shared, "cache", decided)
    choice = caching.choose(course)
    assert choice.reads_cache == (decided == "on")


@pytest.mark.parametrize("is_chief", [True, False])
def test_views_stay_in_what_was_decided(is_chief, tmp_path):
    course = _course(tmp_path, is_chief=is_chief)
    decisions.note(course.shared, "views", "float32")
    assert crossing._dtype_of_views(course, None) == "float32"


def test_a_worker_without_the_chiefs_decision_says_so(tmp_path):
    course = _course(tmp_path, is_chief=False, cache="on")
    with pytest.raises(errors.RunError, match="folder that all workers share"):
        caching.choose(course)
    with pytest.raises(errors.RunError, match="views"):
        crossing._dtype_of_views(course, None)
