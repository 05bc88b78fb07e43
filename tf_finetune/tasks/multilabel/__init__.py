"""Multi-label classification: pictures carry any number of labels."""

from tf_finetune.tasks import pseudo_labels, task
from tf_finetune.tasks.multilabel import answers, exports, figures, labels
from tf_finetune.workdir import json_schema

TASK = task.Task(
    name="multilabel",
    losses=("cross_entropy", "focal", "asymmetric"),
    labels=labels.LABELS,
    figures=figures.Figures(),
    answers=answers.Answers(),
    exports=exports.Exports(),
    network_at="tf_finetune.tasks.multilabel.network:NETWORK",
    certainty_at="tf_finetune.tasks.multilabel.certainty:CERTAINTY",
    decide=figures.choose_thresholds,
    distill=("kd",),
    pseudo_labels=pseudo_labels.LABEL_PSEUDO_LABELS,
    build_data_schema=figures.build_data_schema,
    evaluation_schema={
        "decision": json_schema.Record(
            possible={"thresholds": json_schema.Table(json_schema.Number(0, 1))}
        )
    },
)
