"""Checks of `--classes=keep` and `keep_present` that need no TensorFlow."""

from tf_finetune import errors
from tf_finetune.config import train_config
from tf_finetune.data import scan
from tf_finetune.weights import class_plan, earlier_head, weights_source


def check_config(config: train_config.TrainConfig, head: str) -> None:
    """Checks that a run can keep classes of an earlier one.

    Args:
        config: All options of the run.
        head: Name of its head; `config.model.head` may be "auto".

    Raises:
        UsageError: `--weights` is no workdir with a linear head, this run's
            head is another one or begins at random, or pictures without
            labels are given.
    """
    class_plan.parse_class_map(config.model.class_map)
    path = weights_source.parse_source(config.model.weights).path
    earlier_head.check_earlier_run(path, config.model.task)
    if head != "linear" or config.model.surgery.head_layers:
        raise errors.UsageError(
            f"--classes={config.model.classes} needs a linear head, whose "
            "columns are the classes; leave out --head and --head_layers."
        )
    if config.training.head_init == "random":
        raise errors.UsageError(
            f"--classes={config.model.classes} and --head_init=random exclude "
            "each other: fine-tuning would begin without the kept classes. "
            "Give one of them."
        )
    if config.unlabeled.unlabeled_data:
        raise errors.UsageError(
            f"--classes={config.model.classes} and --unlabeled_data exclude "
            "each other: the head would be learned anew. Give one of them."
        )


def check_names(
    config: train_config.TrainConfig, inspected: scan.InspectedPictures
) -> None:
    """Checks the classes of a run against those of the earlier one.

    Args:
        config: All options of the run.
        inspected: Its pictures and the names of its classes.

    Raises:
        UsageError: No class is the same, or `--class_map` names unknown ones.
    """
    path = weights_source.parse_source(config.model.weights).path
    class_plan.plan_classes(
        inspected.class_names,
        earlier_head.check_earlier_run(path, config.model.task).class_names(),
        class_plan.parse_class_map(config.model.class_map),
    )
