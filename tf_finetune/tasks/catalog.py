"""Registry of tasks by name."""

from tf_finetune import registry
from tf_finetune.config import train_config
from tf_finetune.data import label_protocol

# Strings, so that a task's module is imported only when it is used.
TASKS = registry.Registry(
    "task",
    {
        "classification": "tf_finetune.tasks.classification:TASK",
        "multilabel": "tf_finetune.tasks.multilabel:TASK",
        "regression": "tf_finetune.tasks.regression:TASK",
        "segmentation": "tf_finetune.tasks.segmentation:TASK",
    },
)


def choose_labels(config: train_config.TrainConfig) -> label_protocol.Labels:
    """Returns the labels by which the pictures of a training run are read.

    With `--classes=keep` they know the classes of the earlier run.

    Args:
        config: All options of the run, checked.
    """
    labels = TASKS.get(config.model.task).labels
    if config.model.classes != "keep":
        return labels
    # Only for such classes.
    from tf_finetune.tasks.classification import kept_labels

    return kept_labels.add_earlier_classes(config, labels)
