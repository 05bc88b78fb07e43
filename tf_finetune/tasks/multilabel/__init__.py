"""Multi-label classification: pictures carry any number of labels."""

from tf_finetune import schema
from tf_finetune.tasks import task
from tf_finetune.tasks.multilabel import (
    answers,
    exports,
    figures,
    guesses,
    labels,
)

TASK = task.Task(
    name="multilabel",
    losses=("cross_entropy", "focal", "asymmetric"),
    reads=(
        "class_weight",
        "label_separator",
        "label_smoothing",
        "missing_label",
    ),
    labels=labels.LABELS,
    figures=figures.Figures(),
    answers=answers.Answers(),
    exports=exports.Exports(),
    network_at="tf_finetune.tasks.multilabel.network:NETWORK",
    certainty_at="tf_finetune.tasks.multilabel.certainty:CERTAINTY",
    decide=figures.decide,
    guesses=guesses.GUESSES,
    described=figures.describe,
    evaluated={
        "decision": schema.Record(
            possible={"thresholds": schema.Table(schema.Number(0, 1))}
        )
    },
)
