"""Pictures without labels: every option, with its reason."""

import dataclasses

from tf_finetune.config import checks, options


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnlabelledOptions:
    """What is learnt from pictures that nobody has labelled."""

    unlabeled_data: str = options.option(
        "",
        "Pictures without labels: a folder, searched through, or a quoted "
        "pattern such as 'photos/**/*.jpg'.",
    )
    objective: str | None = options.option(
        None,
        "What is learnt from --unlabeled_data: supervised (nothing), "
        "pseudo_label, fixmatch, feature_distillation or ada_bn; none: "
        "pseudo_label where there are such pictures. The run without them is "
        "the yardstick, and the better one is kept.",
        names_part=True,
    )
    pseudo_label_share: float = options.option(
        0.8,
        "pseudo_label: share of the pictures guessed to be of a class that "
        "are learnt as that class, the surest ones of each.",
    )
    confidence: float = options.option(
        0.95, "FixMatch: probability from which a guess is learnt from."
    )
    unlabeled_ratio: int = options.option(
        3,
        "FixMatch, feature_distillation: unlabeled pictures beside each "
        "labelled one of a step.",
    )
    unlabeled_weight: float = options.option(
        1.0,
        "FixMatch, feature_distillation: weight of their loss beside that of "
        "the labelled pictures.",
    )

    def __post_init__(self) -> None:
        checks.in_range(self, "pseudo_label_share", above=0, at_most=1)
        checks.in_range(self, "confidence", above=0, at_most=1)
        checks.in_range(self, "unlabeled_ratio", at_least=1)
        checks.in_range(self, "unlabeled_weight", at_least=0)

    @property
    def chosen(self) -> str:
        """The objective, its default filled in."""
        if self.objective is not None:
            return self.objective
        return "pseudo_label" if self.unlabeled_data else "supervised"
