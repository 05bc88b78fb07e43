"""Options that the user gave, which a recipe leaves alone."""

from collections.abc import Collection
from typing import Any

from tf_finetune import errors
from tf_finetune.config import options, train_config


def mark_given(config: Any, given: Collection[str]) -> Any:
    """Adds options that the user gave to those that a recipe leaves alone.

    Args:
        config: The config of any command.
        given: Names of the options that were given, in whatever way.

    Returns:
        A config whose `recipe_skip` also names the given options that a recipe
        may choose; `config` itself where no recipe is made.
    """
    if not getattr(config, "uses_recipe", False):
        return config
    skipped = {*options.collect_values(config)["recipe_skip"], *given}
    names = [name for name in list_recipe_options() if name in skipped]
    return options.replace(config, recipe_skip=tuple(names))


def check_skipped(names: tuple[str, ...]) -> None:
    """Checks the names of options that `--recipe_skip` lists.

    Raises:
        UsageError: A name is no option that a recipe chooses.
    """
    possible = list_recipe_options() if names else ()
    for name in names:
        if name not in possible:
            raise errors.make_unknown_error("--recipe_skip", name, possible)


def list_recipe_options() -> tuple[str, ...]:
    """Returns the names of the options that `--recipe=auto` may choose."""
    return tuple(
        name
        for name, field, _, _ in options.list_options(train_config.TrainConfig)
        if field.metadata["in_recipe"]
    )
