"""Options of a teacher: a trained model that a run learns from."""

import dataclasses
from typing import Literal

from tf_finetune.config import conditions, options

SUPERVISED = "supervised"
"""The objective that uses no unlabeled pictures."""

OBJECTIVE = "distillation"
"""The objective in which a teacher answers for unlabeled pictures."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TeacherOptions:
    """A teacher, and how its student is compared with it.

    The help text of each field documents it.
    """

    teacher: str = options.option(
        "",
        "A trained model whose logits fine-tuning learns from beside the "
        "labels: the workdir of a finished run, its model.keras, or an "
        "exported SavedModel or .keras file. Its logits are cached.",
        used_by=conditions.FINE_TUNING,
    )
    distill: Literal["auto", "dist", "kd"] = options.option(
        "auto",
        "How the student is compared with the teacher: dist, correlations of "
        "probabilities over classes and over pictures (Huang et al. 2022); kd, "
        "the divergence of probabilities (Hinton et al. 2015); auto: kd for "
        "two classes or labels that do not exclude each other, else dist.",
        used_by={"teacher": conditions.GIVEN},
    )
    distill_temperature: float = options.option(
        4.0,
        "Divisor of the logits of teacher and student before their "
        "probabilities are compared.",
        used_by={"teacher": conditions.GIVEN},
    )
    distill_weight: float = options.option(
        0.7,
        "Share of the comparison with the teacher in the loss of a labeled "
        "picture; the rest is --loss. Of an unlabeled picture it is all.",
        used_by={"teacher": conditions.GIVEN},
    )
