"""Checks of a run of several workers that need no TensorFlow."""

from tf_finetune import environment, errors
from tf_finetune.config import train_config


def check_options(config: train_config.TrainConfig) -> None:
    """Checks the options of a run with `--strategy=multi_worker`.

    Raises:
        UsageError: An option is for one process alone, or a folder that all
            workers see is missing.
    """
    environment.read_worker_number()
    if not config.output.workdir:
        raise errors.UsageError(
            "--strategy=multi_worker needs --workdir, and --cache_dir where "
            "home folders are not shared: folders that all workers see under "
            "one name."
        )
    if config.training.batch_size == "auto":
        raise errors.UsageError(
            "--batch_size=auto cannot be tried with --strategy=multi_worker; "
            "give a number."
        )
    if config.output.plan:
        raise errors.UsageError(
            "--plan measures one process; use it with --strategy=one_device."
        )
