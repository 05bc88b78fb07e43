"""A worker other than the chief: it trains and writes nothing."""

import contextlib
import pathlib
import tempfile

from tf_finetune import workdir
from tf_finetune.config import train
from tf_finetune.data import survey
from tf_finetune.runs import learning, preparing
from tf_finetune.tasks import catalog as tasks


def assist(config: train.TrainConfig) -> None:
    """Trains beside the chief, on the features that the chief has cached.

    Args:
        config: The run; the chief's is the same.
    """
    inspected = survey.list_and_inspect(
        config.data,
        tasks.TASKS.get(config.model.task).labels,
        cache_dir=config.output.cache_folder,
    )
    # What it writes all the same goes into a folder that nobody reads.
    with (
        tempfile.TemporaryDirectory(prefix="tf_finetune-") as folder,
        contextlib.ExitStack() as held,
    ):
        place = workdir.Workdir(pathlib.Path(folder))
        learning.learn(preparing.prepare(config, inspected, place, held))
