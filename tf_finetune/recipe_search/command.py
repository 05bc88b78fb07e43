"""The Python API of recipe, and its command.

Nothing here imports TensorFlow before flags and files are known to be good.
"""

import contextlib
import dataclasses
import fcntl
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

from tf_finetune import console_output, errors, files
from tf_finetune.config import (
    given_options,
    options,
    recipe_config,
    recipe_options,
    train_config,
)
from tf_finetune.data import scan
from tf_finetune.preflight import config_completion
from tf_finetune.preflight import train as train_preflight
from tf_finetune.recipe_search import decide, writing
from tf_finetune.tasks import catalog as tasks
from tf_finetune.training.devices import batch_size_search
from tf_finetune.workdir import folder_names

Report = Callable[[str], None]

# Time for trials where none is given, as a multiple of that of features and
# probe: all together takes 2.5 times as long as a probe.
_BUDGET_FACTOR = 1.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChosenSettings:
    """Settings chosen from the data, with their reasons.

    Attributes:
        settings: Chosen values by option: keywords of `fine_tune`.
        reasons: A line for each of them, and what was not tried.
        content: Content of recipe.json; docs/recipe.md lists its keys.
        folder: Folder that holds recipe.json and recipe.flags.
    """

    settings: dict[str, Any]
    reasons: tuple[str, ...]
    content: dict[str, Any]
    folder: pathlib.Path


def recipe(
    data: Any, *, report: Report = console_output.show, **keywords: Any
) -> ChosenSettings:
    """Chooses the settings of a training run from the data, with reasons.

    Args:
        data: A folder, CSV file or name as `--data` takes it; or NumPy arrays
            `(images, labels)`, or a `tf.data.Dataset` of such pairs, with
            images RGB or gray, 0..255.
        report: Called with each block of text that the command would print.
        **keywords: Any flag of `python -m tf_finetune.recipe`, by name; a
            value that is given is kept.

    Returns:
        The settings, also written to a folder. No trained model is kept.

    Raises:
        UsageError: An option is unknown or its value impossible.
        DataError: The pictures cannot be used.
        RunError: Weights or cache cannot be read or written.

    Example:
        found = recipe("flowers/", backbone="resnet50")
        run = fine_tune("flowers/", backbone="resnet50", **found.settings)
    """
    config = options.from_keywords(recipe_config.RecipeConfig, keywords)
    config = given_options.mark_given(config, {*keywords})
    cache_dir = pathlib.Path(config.cache_dir).expanduser()
    data = scan.name_data(data, cache_dir=cache_dir)
    return recipe_run(options.replace(config, data=data), report=report)


def recipe_run(
    config: recipe_config.RecipeConfig, *, report: Report
) -> ChosenSettings:
    """Runs `python -m tf_finetune.recipe`: decides, writes and reports.

    Args:
        config: All options of the command; `config.data` names the pictures.
        report: Called with each block of text that a person should read.

    Returns:
        The settings, whose folder holds recipe.json and recipe.flags.

    Raises:
        UsageError: An option is impossible, or the folder cannot be written.
        DataError: The pictures cannot be used.
        RunError: Weights or cache cannot be read or written.
    """
    training = make_train_config(config)
    if training.model.keep_classifier:
        raise errors.UsageError(
            "--keep_classifier trains nothing, so that there is nothing to "
            "choose. Leave it out."
        )
    if reason := recipe_options.explain_no_recipe(training):
        raise errors.UsageError(
            f"There is nothing to choose: {reason}. Leave that flag out."
        )
    train_preflight.check_config(training)
    training = config_completion.make_paths_absolute(training)
    training = config_completion.choose_graph(training)
    folder = choose_folder(config)
    if problem := files.find_write_problem(folder, "folder"):
        raise errors.UsageError(
            f"--output={folder} cannot be written: {problem}. Choose another "
            "folder."
        )
    if (folder / "run.json").exists():
        raise errors.UsageError(
            f"--output={folder} is the workdir of a run, whose own recipe "
            "would be replaced. Choose another folder."
        )
    inspected = scan.list_and_inspect(
        training.data,
        tasks.TASKS.get(training.model.task).choose_labels(training),
        cache_dir=training.output.cache_folder,
    )
    train_preflight.check_pictures(training, inspected)
    with _lock_folder(folder):
        return _decide(config, training, inspected, folder, report)


def make_train_config(
    config: recipe_config.RecipeConfig,
) -> train_config.TrainConfig:
    """Makes the config of the training run that a recipe is for.

    Args:
        config: Options of the command.

    Returns:
        A config with the same options, the others at their defaults, and
        `--recipe=auto`.
    """
    values = options.collect_values(config)
    del values["output"]
    budget = values.pop("time_budget")
    return options.from_keywords(
        train_config.TrainConfig,
        {**values, "recipe": "auto", "recipe_budget": budget},
    )


def choose_folder(config: recipe_config.RecipeConfig) -> pathlib.Path:
    """Returns the folder for the results, which is not created.

    Returns:
        `--output`, or `runs/recipe-DATA-BACKBONE` with DATA the last part of
        `--data`, in characters fit for a file name.
    """
    if config.output:
        return pathlib.Path(config.output).expanduser()
    return folder_names.name_folder(
        config.data.data, before="recipe", after=config.model.backbone
    )


def _decide(
    config: recipe_config.RecipeConfig,
    training: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    folder: pathlib.Path,
    report: Report,
) -> ChosenSettings:
    given = training.recipe.budget_seconds

    def choose_budget(probe_seconds: float) -> float:
        return given or _BUDGET_FACTOR * probe_seconds

    largest = None
    if training.training.batch_size == "auto":
        largest = batch_size_search.find_largest_batch(
            training,
            num_pictures=len(inspected.pictures),
            num_classes=len(inspected.class_names),
        )
    found = decide.decide(
        training,
        inspected,
        folder / "trials",
        largest_batch=largest,
        choose_budget=choose_budget,
        budget_flag="--time_budget",
    )
    writing.write_files(found, folder / "recipe.json", folder / "recipe.flags")
    for trial in (folder / "trials").glob("*/"):
        shutil.rmtree(trial, ignore_errors=True)
    lines = writing.format_lines(found)
    report("\n".join(lines))
    report(
        f"Results saved to {folder}\nTrain with them:\n"
        f"  python -m tf_finetune.train --flagfile={folder}/recipe.flags"
    )
    return ChosenSettings(
        settings=dict(found.changes),
        reasons=tuple(lines),
        content=writing.build_json(found),
        folder=folder,
    )


@contextlib.contextmanager
def _lock_folder(folder: pathlib.Path) -> Iterator[None]:
    """Makes a folder and locks it for the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with files.open_lock(folder / ".lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise errors.UsageError(
                f"Another process is working in --output={folder}; wait for it "
                "or choose another folder."
            ) from error
        yield
