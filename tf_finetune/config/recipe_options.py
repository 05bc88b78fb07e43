"""Options of a run for settings that are chosen from the data."""

import dataclasses
from typing import Literal

from tf_finetune.config import conditions, durations, options

_READERS = {"recipe": ("auto",)}
_TIME_BUDGET = (
    "Time for trials, such as 90s or 20m: a trial that does not fit into what "
    "is left is not started, and named. None: no limit."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """Settings that are chosen from the data, and the time for it.

    The help text of each field documents it. The config that holds them checks
    their values.
    """

    recipe: Literal["auto", "none"] = options.option(
        "none",
        "auto: choose learning rate, trainable layers and more from the data "
        "and by trials, print the reasons and write recipe.json and "
        "recipe.flags; none: the defaults. A flag that is given is kept.",
        used_by={
            **conditions.FINE_TUNING,
            "stages": conditions.NOT_GIVEN,
        },
    )
    recipe_budget: str | None = options.option(
        None, _TIME_BUDGET, used_by=_READERS
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
