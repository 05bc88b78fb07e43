"""The tasks by name."""

from tf_finetune import registry

TASKS = registry.Registry(
    "task",
    {
        "classification": "tf_finetune.tasks.classification:TASK",
        "multilabel": "tf_finetune.tasks.multilabel:TASK",
        "regression": "tf_finetune.tasks.regression:TASK",
        "segmentation": "tf_finetune.tasks.segmentation:TASK",
    },
)
