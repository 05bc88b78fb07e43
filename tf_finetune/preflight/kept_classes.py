"""Checks of `--classes=keep` that need no TensorFlow."""

from tf_finetune import errors
from tf_finetune.config import train_config
from tf_finetune.weights import class_plan, weights_source


def check_config(config: train_config.TrainConfig, head: str) -> None:
    """Checks that a run can keep classes of an earlier one.

    Args:
        config: All options of the run.
        head: Name of its head; `config.model.head` may be "auto".

    Raises:
        UsageError: `--weights` is no workdir with a linear head, this run's
            head is another one, or pictures without labels are given.
    """
    class_plan.parse_class_map(config.model.class_map)
    path = weights_source.parse_source(config.model.weights).path
    class_plan.check_earlier_run(path, config.model.task)
    if head != "linear" or config.model.surgery.head_layers:
        raise errors.UsageError(
            "--classes=keep needs a linear head, whose columns are the "
            "classes; leave out --head and --head_layers."
        )
    if config.unlabeled.unlabeled_data:
        raise errors.UsageError(
            "--classes=keep and --unlabeled_data exclude each other: the head "
            "would be learned anew. Give one of them."
        )


def check_names(
    config: train_config.TrainConfig, names: tuple[str, ...]
) -> None:
    """Checks the class names of the pictures against the earlier run's.

    Args:
        config: All options of the run.
        names: Classes of its pictures.

    Raises:
        UsageError: No class is the same, or `--class_map` names unknown ones.
    """
    path = weights_source.parse_source(config.model.weights).path
    class_plan.plan_classes(
        names,
        class_plan.check_earlier_run(path, config.model.task).class_names(),
        class_plan.parse_class_map(config.model.class_map),
    )
