"""Options that only some choices read, refused where nothing reads them.

What the parts read is declared beside them: `Task.reads`, `READERS` of heads,
objectives and data formats. The tables here are about flags that choose among
words or numbers.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune import errors
from tf_finetune.config import data_options, options, train
from tf_finetune.data import labelling
from tf_finetune.data.sources import catalog as sources
from tf_finetune.heads import catalog as heads
from tf_finetune.tasks import catalog as tasks
from tf_finetune.tasks import task as task_contract
from tf_finetune.training.unlabelled import catalog as objectives

READERS = {
    "augmentation": {"augmentation_views": ("light", "medium", "strong")},
    "cache": {"augmentation_views": ("auto", "on")},
    "strategy": {
        "sync_batch_norm": ("auto", "mirrored", "multi_worker", "tpu")
    },
}
"""By flag: options that not every value of it reads, and those that do."""

FINE_TUNING = (
    "augmentation",
    "augmentation_views",
    "cache",
    "checkpoint_every_steps",
    "clip_norm",
    "clip_variable_norm",
    "ema_momentum",
    "freeze_batch_norm",
    "gradient_accumulation_steps",
    "head_init",
    "keep_checkpoints",
    "label_smoothing",
    "learning_rate",
    "loss",
    "max_recoveries",
    "optimizer",
    "patience",
    "precision",
    "schedule",
    "sync_batch_norm",
    "tensorboard",
    "trainable",
    "warmup_fraction",
    "weight_decay",
)
"""Options that nothing but the fine-tuning stage reads."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """What one flag chooses, and who reads what.

    Attributes:
        flag: Its name.
        chosen: What it means here.
        known: Values of which it is known what they read; others, parts of
            the user's own, may read what they like.
        readers: Options that not every value reads, and those that do.
    """

    flag: str
    chosen: str
    known: Sequence[str]
    readers: Mapping[str, Sequence[str]]


def check(config: Any, choices: Sequence[Choice]) -> None:
    """Raises `UsageError` for an option that nothing chosen reads.

    An option at its default is never refused: what replays a run names all.

    Args:
        config: Of any command.
        choices: What was chosen.
    """
    for name, got in asked(config).items():
        for choice in choices:
            readers = choice.readers.get(name, choice.known)
            if choice.chosen in choice.known and choice.chosen not in readers:
                raise refusal(got, choice.flag, choice.chosen, readers)


def asked(config: Any) -> dict[str, str]:
    """Returns the options that are not at their defaults, as flags."""
    values = options.values_of(config)
    return {
        name: f"--{name}={options.to_text(values[name])}"
        for name, _, default, _ in options.declared(type(config))
        if values[name] != default
    }


def refusal(
    got: str, flag: str, chosen: str, readers: Sequence[str]
) -> errors.UsageError:
    """Returns the error that says what an option is for."""
    listed = " and ".join(f"--{flag}={each}" for each in readers)
    return errors.UsageError(
        f"{got} is for {listed}; --{flag}={chosen} does not read it. Leave it "
        "out."
    )


def of_training(
    config: train.TrainConfig, task: task_contract.Task, head: str
) -> list[Choice]:
    """Returns what a run chooses.

    Args:
        config: The run.
        task: What `--task` means.
        head: What `--head` means.
    """
    values = options.values_of(config)
    return [
        *of_task(config, task),
        Choice(
            flag="head",
            chosen=head,
            known=heads.BUILT_IN,
            readers=heads.READERS,
        ),
        Choice(
            flag="objective",
            chosen=config.unlabelled.chosen,
            known=objectives.BUILT_IN,
            readers=objectives.READERS,
        ),
        *of_words(values),
        *of_format(config, config.data, task.labels),
    ]


def of_task(config: Any, task: task_contract.Task) -> list[Choice]:
    """Returns the task if it does not read all that is asked for.

    To know who else does, all tasks have to be loaded, which takes a while.

    Args:
        config: What was asked for.
        task: What `--task` means, or what the run in question learnt.
    """
    bound = {*task_contract.BOUND} - {*task.reads}
    if asked(config).keys().isdisjoint(bound):
        return []
    every = {name: tasks.TASKS.get(name).reads for name in tasks.TASKS.names()}
    return [
        Choice(
            flag="task",
            chosen=task.name,
            known=(*every, task.name),
            readers={
                option: [name for name in every if option in every[name]]
                for option in bound
            },
        )
    ]


def of_words(values: Mapping[str, Any]) -> list[Choice]:
    """Returns the choices among words, from the values of all options."""
    return [
        Choice(
            flag=flag, chosen=values[flag], known=(values[flag],), readers=table
        )
        for flag, table in READERS.items()
    ]


def of_format(
    config: Any, data: data_options.DataOptions, labels: labelling.Labels
) -> list[Choice]:
    """Returns in which form the data comes, if an option depends on it.

    Args:
        config: What was asked for.
        data: Where the data lies.
        labels: What it must be labelled with.

    Raises:
        UsageError, DataError: As `data.sources.catalog.find`.
    """
    if asked(config).keys().isdisjoint(sources.READERS):
        return []
    return [
        Choice(
            flag="data_format",
            chosen=sources.name_of(data, labels),
            known=sources.BUILT_IN,
            readers=sources.READERS,
        )
    ]


def check_fine_tuning(config: train.TrainConfig) -> None:
    """Raises `UsageError` for options of a stage that there is not."""
    if objectives.takes_steps(config):
        return
    why = "--epochs=0"
    if config.training.epochs:
        why = "--trainable=head, of which the head is solved,"
    alone = config.model.moves_head_alone
    for name, got in asked(config).items():
        if name in FINE_TUNING and not (alone and name == "trainable"):
            raise errors.UsageError(
                f"{got} is for fine-tuning, and {why} leaves that out. Leave "
                "one of the two out."
            )


def check_fractions(
    data: data_options.DataOptions, given: Sequence[str | None]
) -> None:
    """Raises `UsageError` for a share of what the data has divided itself.

    Args:
        data: Which data, and what is asked of it.
        given: The split that the data brings for each picture, None: none.
    """
    for split in ("validation", "test"):
        name = f"{split}_fraction"
        got = asked(data).get(name)
        if got and split in given:
            raise errors.UsageError(
                f"{got} is for data that brings no {split} split, and "
                f"--data={data.data} brings one. Leave it out."
            )
