"""Options for semi-supervised learning: unlabeled pictures."""

import dataclasses

from tf_finetune.config import options, value_checks

_SEMI_SUPERVISED = (
    "ada_bn",
    "feature_distillation",
    "fixmatch",
    "pseudo_label",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnlabeledOptions:
    """Unlabeled pictures and the objective that learns from them."""

    unlabeled_data: str = options.option(
        "",
        "Pictures without labels: a folder, searched through, or a quoted "
        "pattern such as 'photos/**/*.jpg'.",
        used_by={"objective": _SEMI_SUPERVISED},
    )
    objective: str | None = options.option(
        None,
        "How to learn from --unlabeled_data: supervised (not at all), "
        "pseudo_label, fixmatch, feature_distillation or ada_bn; none: "
        "pseudo_label where there are such pictures. The run without them is "
        "the baseline, and the better one is kept.",
        names_part=True,
        known_parts=("supervised", *_SEMI_SUPERVISED),
    )
    pseudo_label_share: float = options.option(
        0.8,
        "Share of the pictures predicted as a class that are "
        "trained on as that class, the most confident ones of each.",
        used_by={"objective": ("pseudo_label",)},
    )
    confidence: float = options.option(
        0.95,
        "Train on pseudo-labels of at least this probability.",
        used_by={"objective": ("fixmatch",)},
    )
    unlabeled_ratio: int = options.option(
        3,
        "Unlabeled pictures beside each labeled one of a step.",
        used_by={"objective": ("feature_distillation", "fixmatch")},
    )
    unlabeled_weight: float = options.option(
        1.0,
        "Weight of the unlabeled pictures' loss beside that of "
        "the labeled pictures.",
        used_by={"objective": ("feature_distillation", "fixmatch")},
    )

    def __post_init__(self) -> None:
        value_checks.require_range(
            self, "pseudo_label_share", above=0, at_most=1
        )
        value_checks.require_range(self, "confidence", above=0, at_most=1)
        value_checks.require_range(self, "unlabeled_ratio", at_least=1)
        value_checks.require_range(self, "unlabeled_weight", at_least=0)

    @property
    def effective_objective(self) -> str:
        """The objective, with its default filled in."""
        if self.objective is not None:
            return self.objective
        return "pseudo_label" if self.unlabeled_data else "supervised"
