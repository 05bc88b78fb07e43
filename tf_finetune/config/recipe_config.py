"""Options of the command recipe."""

import dataclasses

from tf_finetune.config import (
    data_options,
    durations,
    given_options,
    model_options,
    option_types,
    options,
    recipe_options,
    train_config,
    training_options,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """All options of `python -m tf_finetune.recipe`.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    data: data_options.DataOptions = options.group(
        data_options.DataOptions, "data"
    )
    model: model_options.ModelOptions = options.group(
        model_options.ModelOptions, "model"
    )
    training: training_options.TrainingOptions = options.group(
        training_options.TrainingOptions, "training"
    )
    output: str | None = options.option(
        None,
        "Folder of recipe.json and recipe.flags; none: "
        "runs/recipe-DATA-BACKBONE.",
    )
    time_budget: str | None = options.option(
        None,
        "Time for trials, such as 90s or 20m: a trial that does not fit into "
        "what is left is not started, and named. None: one and a half times "
        "as long as features and probe take.",
    )
    recipe_skip: tuple[str, ...] = options.reuse(
        recipe_options.RecipeOptions, "recipe_skip", used_by={}
    )
    cache: str = options.reuse(train_config.OutputOptions, "cache")
    cache_dir: str = options.reuse(train_config.OutputOptions, "cache_dir")
    cache_gb: float = options.reuse(train_config.OutputOptions, "cache_gb")
    seed: int = options.option(0, "Seed of every random draw.")

    @property
    def uses_recipe(self) -> bool:
        """Whether options that are given are marked: something is tried."""
        return bool(self.training.epochs)

    def __post_init__(self) -> None:
        durations.parse_duration("time_budget", self.time_budget)
        given_options.check_skipped(self.recipe_skip)
        option_types.require_range(self, "cache_gb", above=0)
        option_types.require_range(self, "seed", at_least=0, below=2**31)
