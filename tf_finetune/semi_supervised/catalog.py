"""Objectives on unlabeled pictures, by name.

Each follows `runs.objectives.objective_protocol`; adding one is a file and a
line here.
"""

from tf_finetune import registry
from tf_finetune.config import teacher_options

OBJECTIVES = registry.Registry(
    "objective",
    {
        teacher_options.SUPERVISED: (
            "tf_finetune.runs.objectives.objective_protocol:learn_nothing"
        ),
        "ada_bn": "tf_finetune.runs.objectives.ada_bn:learn",
        "distillation": "tf_finetune.runs.objectives.distillation:learn",
        "feature_distillation": (
            "tf_finetune.runs.objectives.feature_distillation:learn"
        ),
        "fixmatch": "tf_finetune.runs.objectives.fixmatch:learn",
        "pseudo_label": "tf_finetune.runs.objectives.pseudo_label:learn",
    },
)

PSEUDO_LABELING = ("fixmatch", "pseudo_label")
"""Objectives that need a task with pseudo-labels (`Task.pseudo_labels`)."""
