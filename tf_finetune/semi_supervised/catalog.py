"""Objectives on unlabeled pictures, by name.

Each follows `runs.objectives.objective_protocol`; adding one is a file and a
line here.
"""

from tf_finetune import registry
from tf_finetune.config import train_config

SUPERVISED = "supervised"
"""The objective that uses no unlabeled pictures."""

OBJECTIVES = registry.Registry(
    "objective",
    {
        SUPERVISED: (
            "tf_finetune.runs.objectives.objective_protocol:learn_nothing"
        ),
        "ada_bn": "tf_finetune.runs.objectives.ada_bn:learn",
        "feature_distillation": (
            "tf_finetune.runs.objectives.feature_distillation:learn"
        ),
        "fixmatch": "tf_finetune.runs.objectives.fixmatch:learn",
        "pseudo_label": "tf_finetune.runs.objectives.pseudo_label:learn",
    },
)

PSEUDO_LABELING = ("fixmatch", "pseudo_label")
"""Objectives that need a task with pseudo-labels (`Task.pseudo_labels`)."""

GRADIENT_BASED = ("feature_distillation", "fixmatch")
"""Objectives that act in gradient steps only."""

BUILT_IN = OBJECTIVES.names()
"""Objectives of this package, of which the gradient steps are known."""


def has_gradient_steps(config: train_config.TrainConfig) -> bool:
    """Returns whether a run trains by gradient steps after solving the head.

    An objective of the user's own counts as trained by steps.

    Args:
        config: Options of the run.
    """
    options, objective = config.training, config.unlabeled.effective_objective
    if options.stages:
        return True
    moves = (
        not config.model.trains_head_only
        or options.head_init == "random"
        or objective in GRADIENT_BASED
    )
    return bool(options.epochs and moves) or objective not in BUILT_IN
