"""Checks of the options for unlabeled pictures that need no TensorFlow."""

from tf_finetune import errors
from tf_finetune.config import teacher_options, train_config
from tf_finetune.semi_supervised import catalog as objectives
from tf_finetune.tasks import task as task_contract


def check_objective(
    config: train_config.TrainConfig, task: task_contract.Task
) -> None:
    """Checks the teacher and the objective on unlabeled pictures of a run.

    Args:
        config: All options of the run.
        task: The run's task.

    Raises:
        UsageError: The objective is unknown, has no pictures, or is not
            possible for the task or with other options; or there is no such
            teacher.
        RunError: The teacher's files are damaged.
    """
    name = config.unlabeled.effective_objective
    if config.unlabeled.teacher:
        from tf_finetune.preflight import teacher

        teacher.check_teacher(config, task)
    if name == teacher_options.SUPERVISED:
        return
    objectives.OBJECTIVES.check(name)
    if not config.unlabeled.unlabeled_data:
        raise errors.UsageError(
            f"--objective={name} needs --unlabeled_data: a folder or a quoted "
            "pattern of pictures without labels."
        )
    if name == teacher_options.OBJECTIVE and not config.unlabeled.teacher:
        raise errors.UsageError(
            f"--objective={name} needs --teacher: a trained model that answers "
            "for the pictures without labels."
        )
    if name in objectives.PSEUDO_LABELING and task.pseudo_labels is None:
        impossible = {*objectives.PSEUDO_LABELING}
        if not task.distill:
            impossible.add(teacher_options.OBJECTIVE)
        others = sorted({*objectives.OBJECTIVES.names()} - impossible)
        raise errors.UsageError(
            f"--objective={name} is not possible with --task={task.name}, "
            f"which has no pseudo-labels; use {', '.join(others)}."
        )
    # These objectives need gradient steps; others may solve the head alone.
    if name in train_config.GRADIENT_BASED and not config.training.epochs:
        raise errors.UsageError(
            f"--objective={name} fine-tunes the network; --epochs=0 leaves "
            "nothing to do."
        )
    if config.training.strategy == "multi_worker":
        raise errors.UsageError(
            "--unlabeled_data is not possible with --strategy=multi_worker; "
            "use mirrored or one_device."
        )
