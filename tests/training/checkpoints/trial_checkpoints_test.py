"""Tests of tf_finetune/training/checkpoints/trial_checkpoints.py."""

from tf_finetune.training.checkpoints import trial_checkpoints
from tf_finetune.workdir import workdir_files


def test_checkpoints_of_a_trial_replace_those_of_the_run(tmp_path):
    run = workdir_files.Workdir(tmp_path)
    trial = workdir_files.Workdir(run.recipe_trials.parent / "key" / "trial")
    for place in (run, trial):
        place.checkpoints.mkdir(parents=True)
        place.tensorboard.mkdir()
    (run.checkpoints / "epoch-00009-step-00000000.checkpoint").write_text("old")
    (run.tensorboard / "own").write_text("")
    (trial.tensorboard / "events").write_text("")
    names = ("best-00001.weights", "epoch-00002-step-00000000.checkpoint")
    for name in names:
        (trial.checkpoints / name).write_text("new")
    for _ in range(2):
        trial_checkpoints.take_over(trial.path, run)
        found = [e for e in run.checkpoints.iterdir() if e.is_file()]
        assert sorted(e.name for e in found) == [*names]
        assert len([*run.tensorboard.iterdir()]) == 2
        assert not trial.path.exists()
