"""Checkpoints of a trial from which a run goes on."""

import pathlib
import shutil

from tf_finetune import files
from tf_finetune.workdir import workdir_files


def take_over(trial_workdir: pathlib.Path, run: workdir_files.Workdir) -> None:
    """Moves checkpoints and TensorBoard events of a trial to a run.

    What the run has of its own is replaced; without checkpoints of the trial
    nothing is done. A call that was interrupted and is repeated leaves the run
    with the last checkpoint of the trial, or with none.

    Args:
        trial_workdir: Workdir of a finished trial with the settings of the run.
        run: The run, which has begun: run.json says whose checkpoints it has.
    """
    trial = workdir_files.Workdir(trial_workdir)
    moved = sorted(trial.checkpoints.glob("*"))
    if not moved:
        return
    for path in run.checkpoints.glob("*"):
        if path.is_file():
            path.unlink()
    if trial.tensorboard.exists():
        shutil.copytree(trial.tensorboard, run.tensorboard, dirs_exist_ok=True)
    # The weights of the best epoch go before the checkpoints that name them.
    for path in moved:
        path.replace(run.checkpoints / path.name)
    files.flush_folder(run.checkpoints)
    shutil.rmtree(trial.path)
