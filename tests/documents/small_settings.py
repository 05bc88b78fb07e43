"""A command of the documents at the size of a test: its own flags, and a few
behind them that make pictures, networks and epochs small. The last one wins.
"""

import contextlib
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags as absl_flags
from documents import documented_commands, sample_data

from tf_finetune import commands
from tf_finetune.config import options, train_config
from tf_finetune.workdir import lifecycle

CONFIGS = commands.config_classes()


def filled_in(command: documented_commands.Command) -> list[str]:
    """Returns its words with a file or name for each word in capitals."""
    text = "\n".join(command.words)
    network = "resnet18" if "resnet18" in text else "small_cnn"
    file = next(f for f, n in sample_data.WEIGHTS.items() if n == network)
    for word, value in (
        ("FOLDER", "flowers"),
        ("NAME", network),
        ("FILE", file),
        ("=/shared/", "=shared/"),
    ):
        text = text.replace(word, value)
    return text.split("\n")


def config(name: str, flags: Sequence[str]) -> Any:
    """Returns what a command of the package is told by its flags."""
    values = absl_flags.FlagValues()
    options.define_flags(CONFIGS[name], values)
    if flags and flags[0] in commands.COMMANDS[name].actions:
        flags = [f"--action={flags[0]}", *flags[1:]]
    rest = values([name, *flags])
    if rest != [name]:
        raise ValueError(f"{rest[1:]} are no flags")
    return options.from_flags(CONFIGS[name], values)


@contextlib.contextmanager
def inside(folder: pathlib.Path) -> Iterator[None]:
    """Works in a folder for a while."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def chosen(config: train_config.TrainConfig) -> str:
    """Returns the workdir that a run gets in the current folder."""
    return str(lifecycle.choose_workdir(config).path)


def smaller(
    config: train_config.TrainConfig, *, fine_tuned: bool = False
) -> dict[str, Any]:
    """Returns options that make a training run small.

    A network stays where its weights are one of the files in the folder or
    where it is what the command is about; the task and all else stays as it
    is.

    Args:
        config: What the command asks for.
        fine_tuned: Whether to fine-tune for an epoch although it is not what
            the command is about.
    """
    model, training = config.model, config.training
    found: dict[str, Any] = {"image_size": 32, "batch_size": 8, "epochs": 0}
    if config.data.data == "digits:5-9":
        found["max_train_per_class"] = 3
    steps = config.interruptions.checkpoint_every_steps
    usual = train_config.TrainConfig()
    is_about_layers = model.adaptation != usual.model.adaptation or (
        model.trainable not in (usual.model.trainable, ("head",))
    )
    # Steps are what these are about.
    is_about_steps = any(
        getattr(training, name) != getattr(usual.training, name)
        for name in ("optimizer", "learning_rate", "head_start_strength")
    )
    has_teacher = bool(config.unlabeled.teacher)
    # A page that gives trials time is about them; others are faster without.
    budget = config.recipe.recipe_budget
    has_recipe = budget != usual.recipe.recipe_budget
    found |= {"recipe_budget": "1s"} if has_recipe else {"recipe": "none"}
    about = (is_about_layers, is_about_steps, has_recipe, has_teacher)
    if fine_tuned or steps or any(about):
        found["epochs"] = min(training.epochs, 1)
    if training.stages:
        # They take the place of --epochs.
        found["stages"] = "head,top:1,all:1"
        del found["epochs"]
    if model.task == "segmentation":
        found["head_epochs"] = 1
    if model.weights == "imagenet":
        found["weights"] = "none"
        if model.backbone in ("mobilenet_v2", "resnet50"):
            found |= {"backbone": "small_cnn", "weights": "digits"}
    if model.trainable == ("head",) or has_teacher:
        # It is exported in few bits, which random weights do not bear.
        found |= {"backbone": "small_cnn", "weights": "digits"}
    return found


def as_flags(keywords: dict[str, Any]) -> list[str]:
    """Returns options as flags."""
    return [
        f"--{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in keywords.items()
    ]
