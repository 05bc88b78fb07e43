"""Regression: each picture has one number or several."""

from tf_finetune.tasks import task
from tf_finetune.tasks.regression import answers, exports, figures, labels

TASK = task.Task(
    name="regression",
    losses=("mean_squared_error", "mean_absolute_error", "huber"),
    reads=(
        "categorical_columns",
        "numeric_columns",
        "target_range",
        "target_transform",
    ),
    labels=labels.LABELS,
    figures=figures.Figures(logged=()),
    answers=answers.ANSWERS,
    exports=exports.EXPORTS,
    network_at="tf_finetune.tasks.regression.network:NETWORK",
    adapted_at="tf_finetune.tasks.regression.adapting:adapted",
    judged_as=figures.of_run,
    relative_predictions=True,
)
