"""What can be learnt from pictures without labels, by name.

Each is a `runs.objectives.objective.Objective`; adding one is a file and a
line here.
"""

from tf_finetune import registry

SUPERVISED = "supervised"
"""Nothing: the run is as it is without them."""

OBJECTIVES = registry.Registry(
    "objective",
    {
        SUPERVISED: "tf_finetune.runs.objectives.supervised:learn",
        "ada_bn": "tf_finetune.runs.objectives.ada_bn:learn",
        "feature_distillation": (
            "tf_finetune.runs.objectives.feature_distillation:learn"
        ),
        "fixmatch": "tf_finetune.runs.objectives.fixmatch:learn",
        "pseudo_label": "tf_finetune.runs.objectives.pseudo_label:learn",
    },
)

GUESSING = ("fixmatch", "pseudo_label")
"""Those that need a task whose labels can be guessed (`Task.guesses`)."""

TRAINING = ("feature_distillation", "fixmatch")
"""Those that have nothing to do where nothing is trained by steps."""
