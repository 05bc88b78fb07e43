"""A worker beside the chief in a run of several workers."""

import contextlib
import pathlib
import tempfile

from tf_finetune.config import train_config
from tf_finetune.data import scan
from tf_finetune.runs import run_preparation, train
from tf_finetune.tasks import catalog as tasks
from tf_finetune.workdir import workdir_files


def run_worker(config: train_config.TrainConfig) -> None:
    """Trains as a worker beside the chief, on the features that it cached.

    Its results go into a temporary folder that is removed.

    Args:
        config: The same config as the chief's.
    """
    inspected = scan.list_and_inspect(
        config.data,
        tasks.TASKS.get(config.model.task).choose_labels(config),
        cache_dir=config.output.cache_folder,
    )
    # What it writes all the same goes into a folder that nobody reads.
    with (
        tempfile.TemporaryDirectory(prefix="tf_finetune-") as folder,
        contextlib.ExitStack() as held,
    ):
        place = workdir_files.Workdir(pathlib.Path(folder))
        context = run_preparation.prepare_run(config, inspected, place, held)
        if config.unlabeled.teacher:
            # Loaded only here: other runs have no teacher.
            from tf_finetune.runs import distillation

            context = distillation.attach_teacher(context, held)
        train.run_stages(context)
