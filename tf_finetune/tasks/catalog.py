"""Registry of tasks by name."""

from tf_finetune import registry

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
