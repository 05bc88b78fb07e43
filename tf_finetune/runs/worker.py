"""A worker other than the chief: it trains and writes nothing."""

import contextlib
import pathlib
import tempfile

from tf_finetune.config import train_config
from tf_finetune.data import scan
from tf_finetune.runs import fit_stages, run_preparation
from tf_finetune.tasks import catalog as tasks
from tf_finetune.workdir import workdir_files


def run_worker(config: train_config.TrainConfig) -> None:
    """Trains beside the chief, on the features that the chief has cached.

    Args:
        config: The run; the chief's is the same.
    """
    inspected = scan.list_and_inspect(
        config.data,
        tasks.TASKS.get(config.model.task).labels,
        cache_dir=config.output.cache_folder,
    )
    # What it writes all the same goes into a folder that nobody reads.
    with (
        tempfile.TemporaryDirectory(prefix="tf_finetune-") as folder,
        contextlib.ExitStack() as held,
    ):
        place = workdir_files.Workdir(pathlib.Path(folder))
        fit_stages.run_stages(
            run_preparation.prepare_run(config, inspected, place, held)
        )
