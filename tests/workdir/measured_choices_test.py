"""Tests of tf_finetune/workdir/boundary_activations.py and of who decides."""

import types

import pytest

from tf_finetune import errors, files
from tf_finetune.config import options, train_config
from tf_finetune.runs import boundary_activations, cache_choice
from tf_finetune.workdir import workdir_files


def _course(place, *, is_chief: bool, cache: str = "auto"):
    """What a worker must not look further than."""
    return types.SimpleNamespace(
        config=options.from_keywords(
            train_config.TrainConfig, {"cache": cache}
        ),
        fine_tunes=True,
        is_chief=is_chief,
        shared=workdir_files.Workdir(place),
    )


def test_decisions_are_kept_side_by_side(tmp_path):
    place = workdir_files.Workdir(tmp_path)
    assert boundary_activations.load_choices(place) == {}
    boundary_activations.record_choice(place, "cache", "on")
    boundary_activations.record_choice(place, "views", "float16")
    assert files.read_json(tmp_path / "checkpoints" / "cache.json") == {
        "cache": "on",
        "views": "float16",
    }
    assert boundary_activations.load_chief_choice(place, "views") == "float16"


@pytest.mark.parametrize("decided", ["on", "off"])
def test_a_worker_uses_the_cache_if_the_chief_does(decided, tmp_path):
    context = _course(tmp_path, is_chief=False, cache="auto")
    boundary_activations.record_choice(context.shared, "cache", decided)
    choice = cache_choice.choose_input(context)
    assert choice.reads_cache == (decided == "on")


@pytest.mark.parametrize("is_chief", [True, False])
def test_views_stay_in_what_was_decided(is_chief, tmp_path):
    context = _course(tmp_path, is_chief=is_chief)
    boundary_activations.record_choice(context.shared, "views", "float32")
    assert boundary_activations._choose_view_dtype(context, None) == "float32"


def test_a_worker_without_the_chiefs_decision_says_so(tmp_path):
    context = _course(tmp_path, is_chief=False, cache="on")
    with pytest.raises(errors.RunError, match="folder that all workers share"):
        cache_choice.choose_input(context)
    with pytest.raises(errors.RunError, match="views"):
        boundary_activations._choose_view_dtype(context, None)
