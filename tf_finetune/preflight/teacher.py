"""Checks of a run with a teacher that need no TensorFlow."""

import os
from collections.abc import Sequence

from tf_finetune import errors
from tf_finetune.config import option_types, teacher_options, train_config
from tf_finetune.semi_supervised import teacher_source
from tf_finetune.tasks import task as task_contract
from tf_finetune.workdir import lifecycle

# The level of augmentation that mixes pictures.
_MIXING = "strong"


def check_teacher(
    config: train_config.TrainConfig, task: task_contract.Task
) -> None:
    """Checks the options of a run with `--teacher`.

    Args:
        config: All options of the run.
        task: The run's task.

    Raises:
        UsageError: The task has no distillation, an option is impossible or
            contradicts the teacher, or there is no such model.
        RunError: The teacher's files are damaged or not safe to read.
    """
    options = config.unlabeled
    given = f"--teacher={options.teacher}"
    option_types.require_range(options, "distill_temperature", above=0)
    option_types.require_range(options, "distill_weight", above=0, at_most=1)
    if not task.distill:
        raise errors.UsageError(
            f"{given} is not possible with --task={task.name}: a teacher "
            "answers with probabilities of classes of a whole picture. Leave "
            "--teacher out."
        )
    if options.distill not in ("auto", *task.distill):
        raise errors.UsageError(
            f"--distill={options.distill} compares classes that exclude each "
            f"other, and those of --task={task.name} do not. Give "
            f"--distill={task.distill[0]}."
        )
    if config.training.augmentation == _MIXING:
        raise errors.UsageError(
            f"{given} answers for single pictures, and --augmentation="
            f"{_MIXING} mixes them. Give --augmentation=medium."
        )
    allowed = (None, teacher_options.SUPERVISED, teacher_options.OBJECTIVE)
    if options.objective not in allowed:
        raise errors.UsageError(
            f"--objective={options.objective} and {given} are two ways to "
            "learn from unlabeled pictures. Leave one of them out."
        )
    teacher_source.read_source(options.teacher, task.name)
    if config.output.overwrite:
        # By real paths: the same folder may be given by two names.
        path = os.path.realpath(os.path.expanduser(options.teacher))
        own = os.path.realpath(lifecycle.choose_workdir(config).path)
        if os.path.commonpath([path, own]) == own:
            raise errors.UsageError(
                f"{given} lies in the workdir of this run, which --overwrite "
                "would clear. Choose another --workdir."
            )


def check_classes(
    config: train_config.TrainConfig, names: Sequence[str]
) -> None:
    """Checks that the teacher's classes are those of the pictures.

    Args:
        config: All options of the run, checked.
        names: Classes of the pictures.

    Raises:
        UsageError: They differ; the message lists the differences.
    """
    source = teacher_source.read_source(
        config.unlabeled.teacher, config.model.task
    )
    teacher_source.match_classes(source, names)
