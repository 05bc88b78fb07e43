"""Tests of what a run with pictures without labels keeps to go on from."""

import pytest

from tf_finetune import errors, workdir
from tf_finetune.data import examples
from tf_finetune.data import pool as pools
from tf_finetune.runs import unlabelled


def _pool(*contents):
    return pools.Pool(
        found=len(contents),
        pictures=tuple(
            examples.Picture(
                path=f"{number}.png",
                label=None,
                sha256=each,
                width=9,
                height=9,
            )
            for number, each in enumerate(contents)
        ),
        dropped=(),
        known={},
        repeated=0,
    )


def test_a_run_does_not_go_on_with_other_pictures_without_labels(tmp_path):
    place = workdir.Workdir(tmp_path)
    place.pool.parent.mkdir(parents=True)
    unlabelled.note_pool(place, _pool("aa", "bb"), "photos")
    unlabelled.note_pool(place, _pool("bb", "aa"), "photos")
    with pytest.raises(
        errors.DataError, match="--unlabeled_data=photos have changed since"
    ):
        unlabelled.note_pool(place, _pool("aa", "bb", "cc"), "photos")


def test_events_stay_when_checkpoints_go(tmp_path):
    place = workdir.Workdir(tmp_path)
    apart = place.apart("fixmatch")
    assert apart.tensorboard == tmp_path / "tensorboard" / "fixmatch"
    assert place.checkpoints in apart.checkpoints.parents
    assert place.checkpoints not in apart.tensorboard.parents
    assert place.pool.parent == apart.path
