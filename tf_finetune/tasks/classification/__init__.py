"""Classification: each picture belongs to exactly one class."""

from tf_finetune.tasks import task
from tf_finetune.tasks.classification import (
    answers,
    exports,
    figures,
    labels,
    pseudo_labels,
)

TASK = task.Task(
    name="classification",
    losses=("cross_entropy", "focal", "mean_squared_error"),
    losses_without_smoothing=("mean_squared_error",),
    reads=(
        "categorical_columns",
        "class_weight",
        "label_smoothing",
        "missing_label",
        "numeric_columns",
        "top_k",
    ),
    labels=labels.LABELS,
    figures=figures.FIGURES,
    answers=answers.ANSWERS,
    exports=exports.EXPORTS,
    network_at="tf_finetune.tasks.classification.network:NETWORK",
    certainty_at="tf_finetune.tasks.classification.certainty:CERTAINTY",
    pseudo_labels=pseudo_labels.PSEUDO_LABELS,
    build_data_schema=figures.build_data_schema,
)
