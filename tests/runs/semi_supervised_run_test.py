"""Tests of what a run with pictures without labels keeps to go on from."""

import os

import pytest

from tf_finetune import errors
from tf_finetune.data import examples
from tf_finetune.data import unlabeled_pool as pools
from tf_finetune.runs import semi_supervised_run
from tf_finetune.workdir import workdir_files


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
    place = workdir_files.Workdir(tmp_path)
    place.pool.parent.mkdir(parents=True)
    semi_supervised_run.record_pool(place, _pool("aa", "bb"), "photos")
    semi_supervised_run.record_pool(place, _pool("bb", "aa"), "photos")
    with pytest.raises(
        errors.DataError, match="--unlabeled_data=photos have changed since"
    ):
        semi_supervised_run.record_pool(
            place, _pool("aa", "bb", "cc"), "photos"
        )


def test_events_stay_when_checkpoints_go(tmp_path):
    place = workdir_files.Workdir(tmp_path)
    apart = place.semi_supervised_workdir("fixmatch")
    assert apart.tensorboard == tmp_path / "tensorboard" / "fixmatch"
    assert place.checkpoints in apart.checkpoints.parents
    assert place.checkpoints not in apart.tensorboard.parents
    assert place.pool.parent == apart.path


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"{}", b'{"fingerprint": 5}', b"[" * 100_000]
)
def test_a_damaged_note_of_the_pool_is_one_sentence(tmp_path, content):
    place = workdir_files.Workdir(tmp_path)
    place.pool.parent.mkdir(parents=True)
    place.pool.write_bytes(content)
    with pytest.raises(errors.RunError, match=r"pool\.json.*--overwrite"):
        semi_supervised_run.record_pool(place, _pool("aa"), "photos")


def test_a_pipe_or_a_link_in_place_of_the_pool_is_refused(tmp_path):
    place = workdir_files.Workdir(tmp_path / "run")
    place.pool.parent.mkdir(parents=True)
    os.mkfifo(place.pool)
    with pytest.raises(errors.RunError, match="not a regular file"):
        semi_supervised_run.record_pool(place, _pool("aa"), "photos")
    place.pool.unlink()
    (tmp_path / "else.json").write_text('{"fingerprint": "x"}')
    place.pool.symlink_to(tmp_path / "else.json")
    with pytest.raises(errors.RunError, match="link to a file outside"):
        semi_supervised_run.record_pool(place, _pool("aa"), "photos")
