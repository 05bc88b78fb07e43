"""The tasks by name."""

from tf_finetune import registry

TASKS = registry.Registry(
    "task",
    {
        "classification": "tf_finetune.tasks.classification:TASK",
        "segmentation": "tf_finetune.tasks.segmentation:TASK",
    },
)
