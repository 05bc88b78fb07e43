"""Classification: each picture belongs to exactly one class."""

from tf_finetune.tasks import pseudo_labels, task
from tf_finetune.tasks.classification import answers, exports, figures, labels

TASK = task.Task(
    name="classification",
    losses=("cross_entropy", "focal", "mean_squared_error"),
    labels=labels.LABELS,
    figures=figures.FIGURES,
    answers=answers.ANSWERS,
    exports=exports.EXPORTS,
    network_at="tf_finetune.tasks.classification.network:NETWORK",
    certainty_at="tf_finetune.tasks.classification.network:CERTAINTY",
    compares_log_loss=True,
    distill=("dist", "kd"),
    pseudo_labels=pseudo_labels.CLASS_PSEUDO_LABELS,
    build_data_schema=figures.build_data_schema,
)
