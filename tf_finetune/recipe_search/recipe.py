"""Recipe: the settings chosen for a run, with everything they stand on."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from tf_finetune.config import options, recipe_options, train_config
from tf_finetune.recipe_search import decisions as decision_types
from tf_finetune.recipe_search import facts as fact_types
from tf_finetune.recipe_search import rules
from tf_finetune.runs import time_budget


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings chosen from the data, with their reasons.

    Attributes:
        config: Config of the run, with the chosen settings and `recipe` "none":
            it trains the same without measuring anything.
        decisions: The chosen values and those that the user gave.
        facts: The facts that they were chosen by, trials included.
        warnings: Sentences about data that deserve a look.
        not_tried: Trials that did not fit into the time budget.
        note: Sentence on why nothing was tried; empty if something was.
        fingerprint: Hash of the data's contents, labels and splits.
        spent_seconds: Seconds of all trials, those of earlier processes
            included.
        budget_seconds: Time that they were allowed; None: no limit.
        budget_flag: The flag that sets it.
        trial_workdir: Workdir of the preferred trial, whose checkpoints a run
            with `config` would write, too; None where there is none, or where
            trials learned from a part of the training pictures.
    """

    config: train_config.TrainConfig
    decisions: tuple[decision_types.Decision, ...]
    facts: fact_types.Facts
    warnings: tuple[str, ...] = ()
    not_tried: tuple[time_budget.SkippedStep, ...] = ()
    note: str = ""
    fingerprint: str
    spent_seconds: float = 0.0
    budget_seconds: float | None = None
    budget_flag: str = "--recipe_budget"
    trial_workdir: pathlib.Path | None = None

    @property
    def changes(self) -> Mapping[str, Any]:
        """The chosen values by option, without those that were given."""
        return rules.collect_changes(self.decisions)


def apply_decisions(
    config: train_config.TrainConfig,
    decisions: tuple[decision_types.Decision, ...],
) -> train_config.TrainConfig:
    """Returns a config with the chosen values and without a recipe.

    Args:
        config: The user's config.
        decisions: Chosen values; those that were given are in `config`.
    """
    plain = recipe_options.RecipeOptions(recipe="none")
    changes = rules.collect_changes(decisions)
    return options.replace(config, **vars(plain), **changes)
