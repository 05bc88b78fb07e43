"""Regression: each picture has one number or several."""

from tf_finetune.tasks import task
from tf_finetune.tasks.regression import answers, exports, figures, labels

TASK = task.Task(
    name="regression",
    losses=("mean_squared_error", "mean_absolute_error", "huber"),
    labels=labels.LABELS,
    check_listed=labels.check_listed,
    figures=figures.Figures(logged=()),
    answers=answers.ANSWERS,
    exports=exports.EXPORTS,
    network_at="tf_finetune.tasks.regression.network:NETWORK",
    fit_to_data_at="tf_finetune.tasks.regression.network:fit_task",
    restore_figures=figures.restore_figures,
    relative_predictions=True,
    refused_options={
        "calibrate": (
            "it divides the logits of probabilities, and a regression answers "
            "with numbers. How far they are off is in evaluation.json; "
            "export without it."
        ),
        "out_of_distribution": (
            "its score is the energy of the logits of classes, and a "
            "regression has none. Export without it, and compare the features "
            "that the signature `embed` gives with those of training pictures."
        ),
    },
    build_data_schema=figures.build_data_schema,
)
