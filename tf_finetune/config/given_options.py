"""Options that the user gave, which a recipe leaves alone."""

from collections.abc import Collection
from typing import Any

from tf_finetune.config import options, train_config


def mark_given(config: Any, given: Collection[str]) -> Any:
    """Adds options that the user gave to those that a recipe leaves alone.

    Args:
        config: The config of any command.
        given: Names of the options that were given, in whatever way.

    Returns:
        A config whose `recipe_skip` also names the given options that a recipe
        may choose; `config` itself where no recipe is asked for or nothing is
        fine-tuned.
    """
    values = options.collect_values(config)
    # The command recipe has no option `recipe`.
    has_recipe = values.get("recipe", "auto") == "auto"
    if "recipe_skip" not in values or not has_recipe or not values["epochs"]:
        return config
    skipped = {*values["recipe_skip"], *given}
    names = [
        name for name in train_config.list_recipe_options() if name in skipped
    ]
    return options.replace(config, recipe_skip=tuple(names))
