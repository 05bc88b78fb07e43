"""Tests of tf_finetune/training/checkpoints/checkpoint_store.py."""

import pathlib

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.training.checkpoints import checkpoint_store, state_file


class _Kept:
    """A stage of one weight and one optimizer variable, both a number."""

    def __init__(self, folder: pathlib.Path, keep: int = 2):
        self.weight = keras.Variable(np.zeros(1000, "float32"))
        self.other = keras.Variable(np.zeros([], "int32"))
        self.checkpoints = checkpoint_store.CheckpointStore(
            folder,
            state=[self.weight, self.other],
            weights=[self.weight],
            keep=keep,
        )

    def save(self, epoch: int, step: int = 0, best: int | None = None):
        number = 100 * epoch + step
        self.weight.assign(np.full(1000, number, "float32"))
        self.other.assign(-number)
        progress = checkpoint_store.Progress(
            rows=[{"loss": float(n)} for n in range(epoch)],
            best=best,
            step=step,
        )
        if best is not None and best == epoch - 1 and not step:
            self.checkpoints.save_best(best)
        self.checkpoints.save(progress, [np.array(number)])
        return progress


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


def _names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_is_restored_where_nothing_was_saved(folder):
    assert _Kept(folder).checkpoints.restore() is None


def test_all_of_the_last_state_comes_back(folder):
    _Kept(folder).save(1, best=0)
    progress = _Kept(folder).save(1, step=20, best=0)
    kept = _Kept(folder)
    restored = kept.checkpoints.restore()
    assert restored.progress == progress
    assert [int(each) for each in restored.sums] == [120]
    assert set(np.asarray(kept.weight)) == {120}
    assert int(kept.other) == -120
    kept.checkpoints.load_best(0)
    assert set(np.asarray(kept.weight)) == {100}


def test_only_so_many_are_kept_with_the_best_weights_they_name(folder):
    kept = _Kept(folder, keep=2)
    for epoch in range(1, 5):
        kept.save(epoch, best=min(epoch - 1, 2))
        kept.save(epoch, step=5, best=min(epoch - 1, 2))
    assert _names(folder) == [
        "best-00001.weights",
        "best-00002.weights",
        "epoch-00004-step-00000000.checkpoint",
        "epoch-00004-step-00000005.checkpoint",
    ]


def _flip(path: pathlib.Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _truncate(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [_flip, _truncate])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    folder, damage, caplog
):
    kept = _Kept(folder)
    before = kept.save(1, step=3)
    kept.save(1, step=6)
    name = "epoch-00001-step-00000006.checkpoint"
    damage(folder / name)
    again = _Kept(folder)
    assert again.checkpoints.restore().progress == before
    assert set(np.asarray(again.weight)) == {103}
    assert name in caplog.text
    assert not (folder / name).exists()


def test_damaged_best_weights_are_those_of_no_checkpoint(folder, caplog):
    kept = _Kept(folder)
    before = kept.save(1, best=0)
    kept.save(2, best=1)
    _flip(folder / "best-00001.weights")
    assert _Kept(folder).checkpoints.restore().progress == before
    assert "epoch-00002" in caplog.text
    # It is written again when its epoch is.
    assert _names(folder) == [
        "best-00000.weights",
        "epoch-00001-step-00000000.checkpoint",
    ]


def test_best_weights_newer_than_the_checkpoint_are_not_its_best(folder):
    kept = _Kept(folder)
    kept.save(1, best=0)
    kept.weight.assign(np.ones(1000))
    kept.checkpoints.save_best(1)  # And killed before the checkpoint.
    again = _Kept(folder)
    assert again.checkpoints.restore().progress.best == 0
    again.checkpoints.load_best(0)
    assert set(np.asarray(again.weight)) == {100}
    assert not (folder / "best-00001.weights").exists()


def test_best_weights_that_are_damaged_later_are_an_error(folder):
    kept = _Kept(folder)
    kept.save(1, best=0)
    _flip(folder / "best-00000.weights")
    with pytest.raises(errors.RunError, match="best-00000.*same command"):
        kept.checkpoints.load_best(0)


def test_a_checkpoint_of_another_optimizer_is_noticed_and_not_used(
    folder, caplog
):
    _Kept(folder).save(1)
    other = checkpoint_store.CheckpointStore(
        folder, state=[keras.Variable(np.ones(2))], weights=[], keep=2
    )
    assert other.restore() is None
    assert "another model, optimizer or precision" in caplog.text


def _crafted_progress():
    good = {"rows": [{"loss": 1.0}], "best": None, "step": 0, "recoveries": 0}
    yield from (None, 5, [], {}, {**good, "rows": "ab"})
    yield from ({**good, "rows": [[1]]}, {**good, "rows": [{"loss": "x"}]})
    yield from ({**good, "best": 7}, {**good, "best": "x"})
    yield from ({**good, "step": -1}, {**good, "recoveries": 10**30})


def test_a_checkpoint_of_another_maker_is_no_traceback(folder):
    for progress in _crafted_progress():
        kept = _Kept(folder)
        state_file.write(
            folder / "epoch-00001-step-00000000.checkpoint",
            {"progress": progress, "state": 2},
            [np.zeros(1000, "float32"), np.zeros([], "int32")],
        )
        assert kept.checkpoints.restore() is None
        assert not list(folder.iterdir())


def test_best_weights_of_another_model_are_one_sentence(folder):
    kept = _Kept(folder)
    kept.save(1, best=0)
    state_file.write(folder / "best-00000.weights", {}, [np.zeros(3)])
    with pytest.raises(errors.RunError, match="is of another model"):
        kept.checkpoints.load_best(0)
    assert _Kept(folder).checkpoints.restore() is None


def test_a_link_in_place_of_a_checkpoint_is_removed_not_read(folder, tmp_path):
    _Kept(tmp_path / "other").save(1)
    (source,) = (tmp_path / "other").iterdir()
    folder.mkdir()
    (folder / source.name).symlink_to(source)
    assert _Kept(folder).checkpoints.restore() is None
    assert source.exists()
    assert not list(folder.iterdir())


@pytest.mark.parametrize("step", [5, 100])
def test_progress_beyond_the_stage_is_one_sentence(step):
    progress = checkpoint_store.Progress(rows=[{"loss": 1.0}], step=step)
    restored = checkpoint_store.RestoredState(progress=progress, sums=[])
    restored.require(200, lambda row: row["loss"])
    for steps, rank in ((5, None), (200, lambda row: row["accuracy"])):
        with pytest.raises(errors.RunError, match="--overwrite"):
            restored.require(steps, rank)


def test_sums_of_other_metrics_are_one_sentence():
    variables = [keras.Variable(np.zeros(3, "float32"))]
    checkpoint_store.restore_sums(variables, [np.ones(3, "float32")])
    assert set(np.asarray(variables[0])) == {1}
    for sums in ([], [np.ones(4)], [np.ones(3), np.ones(3)]):
        with pytest.raises(errors.RunError, match="other data or metrics"):
            checkpoint_store.restore_sums(variables, sums)
