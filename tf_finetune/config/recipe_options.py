"""Options of a run for settings that are chosen from the data."""

import dataclasses
from typing import TYPE_CHECKING, Literal

from tf_finetune.config import conditions, durations, options, teacher_options

if TYPE_CHECKING:
    from tf_finetune.config import train_config

_SUPERVISED = (teacher_options.SUPERVISED,)
# Trials are made by one process, which may drive several devices.
_ONE_PROCESS = ("auto", "one_device", "mirrored", "tpu")
_READERS = {
    **conditions.FINE_TUNING,
    "recipe": ("auto",),
    "stages": conditions.NOT_GIVEN,
    "objective": _SUPERVISED,
    "strategy": _ONE_PROCESS,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """Settings that are chosen from the data, and the time for it.

    The help text of each field documents it. The config that holds them checks
    their values.
    """

    recipe: Literal["auto", "none"] = options.option(
        "auto",
        "auto: choose learning rate, trainable layers and more from the data "
        "and by trials, print the reasons and write recipe.json and "
        "recipe.flags; none: the defaults. A flag that is given is kept.",
    )
    recipe_budget: str | None = options.option(
        "10m",
        "Time for trials, such as 90s or 20m: a trial that does not fit into "
        "what is left is not started, and named. None: no limit.",
        used_by=_READERS,
    )
    recipe_skip: tuple[str, ...] = options.option(
        (),
        "Flags that the recipe leaves as they are, with commas: "
        "trainable,learning_rate. Flags that are given are added.",
        used_by=_READERS,
    )

    @property
    def budget_seconds(self) -> float | None:
        """Seconds of `recipe_budget`; None without a limit.

        Raises:
            UsageError: It is no duration.
        """
        return durations.parse_duration("recipe_budget", self.recipe_budget)


def explain_no_recipe(config: "train_config.TrainConfig") -> str:
    """Returns why the settings of a run are not chosen from its data.

    Args:
        config: All options of the run.

    Returns:
        A clause; empty where `--recipe=auto` chooses the settings.
    """
    training, objective = config.training, config.unlabeled.effective_objective
    if config.recipe.recipe == "none":
        return "--recipe=none leaves them as they are"
    if training.stages:
        return "--stages names the layers and their epochs"
    if not training.epochs:
        return "--epochs=0 leaves fine-tuning out"
    if not config.has_gradient_steps:
        return "--trainable=head leaves fine-tuning out"
    if objective not in _SUPERVISED:
        return (
            "trials learn from the labeled pictures alone, and not with "
            f"--objective={objective}"
        )
    if training.strategy not in _ONE_PROCESS:
        return (
            f"--strategy={training.strategy} trains in several processes, and "
            "trials are made in one"
        )
    return ""
