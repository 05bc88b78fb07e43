"""The recipe of a training run: `--recipe=auto`."""

import dataclasses
import pathlib
from collections.abc import Mapping

from absl import logging

from tf_finetune.config import train_config
from tf_finetune.data import scan
from tf_finetune.recipe_search import (
    candidates,
    decide,
    recipe,
    writing,
)
from tf_finetune.workdir import workdir_files


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChosenRun:
    """A run with the settings of a recipe.

    Attributes:
        config: The config to train with.
        lines: The lines of the recipe by the option that they are about;
            further lines under "".
        trial_workdir: Workdir of the trial whose checkpoints the run goes on
            from; None: there is none.
    """

    config: train_config.TrainConfig
    lines: Mapping[str, str]
    trial_workdir: pathlib.Path | None


def choose_settings(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    place: workdir_files.Workdir,
    largest_batch: int | None,
) -> ChosenRun:
    """Chooses the settings of a run and writes recipe.json and recipe.flags.

    Trials are recorded with the checkpoints of the run: a run that is resumed
    repeats none.

    Args:
        config: Options of the run, with `--recipe=auto`.
        inspected: Pictures whose headers were read.
        place: Workdir of the run, locked by this process.
        largest_batch: Largest batch size that fits into memory; None without
            `--batch_size=auto`.

    Returns:
        Config and lines; the trial to go on from if that learned from the same
        pictures as the run, so that nothing is trained twice.
    """
    found = decide.decide(
        config,
        inspected,
        place.recipe_trials.parent,
        largest_batch=largest_batch,
        choose_budget=lambda seconds: config.recipe.budget_seconds,
        is_settled=place.run_json.exists(),
    )
    writing.write_files(
        found, place.path / "recipe.json", place.path / "recipe.flags"
    )
    # The lines of the recipe are the first ones of the plan.
    for sentence in found.warnings:
        logging.warning("%s", sentence)
    return ChosenRun(
        config=found.config,
        lines=_key_lines(found),
        trial_workdir=found.trial_workdir,
    )


def describe_plan(
    config: train_config.TrainConfig, inspected: scan.InspectedPictures
) -> tuple[train_config.TrainConfig, str]:
    """Describes the recipe that a run would follow; makes no trial.

    Args:
        config: Options of the run, with `--recipe=auto`.
        inspected: Pictures whose headers were read.

    Returns:
        The config with the settings that need no trial, and text of several
        lines: these settings with their reasons, and the trials that the run
        would make.
    """
    found = decide.decide_by_data(config, inspected, "cpu")
    lines = writing.format_lines(found)
    listed = candidates.list_candidates(found.facts)
    if listed:
        limit = config.recipe.recipe_budget or "none"
        lines.append(
            f"recipe: the run tries, as far as --recipe_budget={limit} allows, "
            "and compares the validation log losses of:"
        )
        lines += [f"  {each.text}" for each in listed]
    return found.config, "\n".join(lines)


def _key_lines(found: recipe.Recipe) -> dict[str, str]:
    lines = {
        each.flag: writing.format_line(each)
        for each in found.decisions
        if not each.given
    }
    others = [e for e in writing.format_lines(found) if e not in lines.values()]
    return {**lines, "": "\n".join(others)} if others else lines
