"""Refuses options that none of the chosen parts reads.

The options that a part reads are declared beside it: `Task.reads`, `READERS`
in the catalogs. The tables here are about flags that choose among words or
numbers.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune import errors
from tf_finetune.adaptation import catalog as adaptation
from tf_finetune.config import data_options, options, train_config
from tf_finetune.data import label_protocol
from tf_finetune.data.sources import catalog as sources
from tf_finetune.heads import catalog as heads
from tf_finetune.semi_supervised import catalog as objectives
from tf_finetune.tasks import catalog as tasks
from tf_finetune.tasks import task as task_contract

READERS = {
    "augmentation": {"augmentation_views": ("light", "medium", "strong")},
    "cache": {"augmentation_views": ("auto", "on")},
    "strategy": {
        "sync_batch_norm": ("auto", "mirrored", "multi_worker", "tpu")
    },
}
"""By flag: options that not every value of it reads, and those that do."""

FINE_TUNING = (
    "adaptation",
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
class OptionChoice:
    """The value of one flag, and the options that its values read.

    Attributes:
        flag: Its name.
        chosen: Its value here.
        known: Values whose options are known; others, parts of the user's
            own, may read any.
        readers: Options that not every value reads, and those that do.
        origin: Where the value comes from, if the flag does not name it.
    """

    flag: str
    chosen: str
    known: Sequence[str]
    readers: Mapping[str, Sequence[str]]
    origin: str = ""


def check_options(config: Any, choices: Sequence[OptionChoice]) -> None:
    """Raises `UsageError` for options that none of the choices reads.

    An option at its default is never refused: run.flags names them all.

    Args:
        config: Of any command.
        choices: What was chosen.
    """
    if found := find_unused(config, choices):
        raise errors.UsageError(" ".join(found.values()))


def find_unused(config: Any, choices: Sequence[OptionChoice]) -> dict[str, str]:
    """Returns the options that no choice reads, each with its message."""
    found = {}
    for name, got in list_given(config).items():
        for choice in choices:
            # An option that is in no table of a choice suits all its values.
            readers = choice.readers.get(name, choice.known)
            if choice.chosen in choice.known and choice.chosen not in readers:
                # The first choice that does not read it explains the refusal.
                found.setdefault(name, _format_refusal(got, choice, readers))
    return found


def list_given(config: Any) -> dict[str, str]:
    """Returns the options that are not at their defaults, as flags."""
    values = options.collect_values(config)
    return {
        name: options.to_flag(name, values[name])
        for name, _, default, _ in options.list_options(type(config))
        if values[name] != default
    }


def _format_refusal(
    got: str, choice: OptionChoice, readers: Sequence[str]
) -> str:
    """Returns the message that names the values an option is for."""
    listed = " and ".join(f"--{choice.flag}={each}" for each in readers)
    meant = f", {choice.origin}," if choice.origin else ""
    return (
        f"{got} is for {listed}; --{choice.flag}={choice.chosen}{meant} does "
        "not read it. Leave it out."
    )


def list_training_choices(
    config: train_config.TrainConfig, task: task_contract.Task, head: str
) -> list[OptionChoice]:
    """Lists the choices of a training run, of the task and head it means."""
    unlabeled = config.unlabeled
    return [
        *list_task_choices(config, task),
        OptionChoice(
            flag="head",
            chosen=head,
            known=heads.BUILT_IN,
            readers=heads.READERS,
            origin=_describe_origin("head", config.model.head, head),
        ),
        OptionChoice(
            flag="adaptation",
            chosen=config.model.adaptation,
            known=adaptation.BUILT_IN,
            readers=adaptation.READERS,
        ),
        OptionChoice(
            flag="objective",
            chosen=unlabeled.effective_objective,
            known=objectives.BUILT_IN,
            readers=objectives.READERS,
            origin=_describe_origin(
                "objective", unlabeled.objective, unlabeled.effective_objective
            ),
        ),
        *list_value_choices(options.collect_values(config)),
        *list_format_choices(config, config.data, task.labels),
    ]


def _describe_origin(flag: str, given: str | None, chosen: str) -> str:
    """Returns the origin of a value that a flag does not name itself."""
    if given == chosen:
        return ""
    return f"chosen by --{flag}={options.to_text(given)}"


def list_task_choices(
    config: Any, task: task_contract.Task
) -> list[OptionChoice]:
    """Returns the task as a choice if it does not read all options.

    To know who else does, all tasks have to be loaded, which takes a while.

    Args:
        config: What was asked for.
        task: What `--task` means, or what the run in question learned.
    """
    # Options that only some tasks read, but for those that this one reads.
    bound = {*task_contract.TASK_SPECIFIC_OPTIONS} - {*task.reads}
    if list_given(config).keys().isdisjoint(bound):
        return []
    every = {name: tasks.TASKS.get(name).reads for name in tasks.TASKS.names()}
    return [
        OptionChoice(
            flag="task",
            chosen=task.name,
            # A task of the user's own is not among the registered ones.
            known=(*every, task.name),
            readers={
                option: [name for name in every if option in every[name]]
                for option in bound
            },
        )
    ]


def list_value_choices(values: Mapping[str, Any]) -> list[OptionChoice]:
    """Returns the choices of `READERS`, from the values of all options."""
    return [
        OptionChoice(
            flag=flag, chosen=values[flag], known=(values[flag],), readers=table
        )
        for flag, table in READERS.items()
    ]


def list_format_choices(
    config: Any, data: data_options.DataOptions, labels: label_protocol.Labels
) -> list[OptionChoice]:
    """Returns the data format as a choice if an option depends on it.

    Args:
        config: What was asked for.
        data: Where the data lies.
        labels: What it must be labeled with.

    Raises:
        UsageError, DataError: As `data.sources.catalog.find`.
    """
    # To find the format of --data the disk has to be read.
    if list_given(config).keys().isdisjoint(sources.READERS):
        return []
    return [
        OptionChoice(
            flag="data_format",
            chosen=sources.find_source_name(data, labels),
            known=sources.BUILT_IN,
            readers=sources.READERS,
            origin="the format of --data" if data.data_format == "auto" else "",
        )
    ]


def check_fine_tuning(config: train_config.TrainConfig) -> None:
    """Raises `UsageError` for options of fine-tuning in a run without."""
    found = [*find_unused_fine_tuning(config).values()]
    if not found:
        return
    # Two ways leave the stage out; the message names the one taken.
    why, other = "--epochs=0", "--epochs"
    if config.training.epochs:
        why = "--trainable=head, of which the head is solved,"
        other = "--trainable"
    are, them = ("are", "them") if len(found) > 1 else ("is", "it")
    raise errors.UsageError(
        f"{', '.join(found)} {are} for fine-tuning, and {why} leaves that "
        f"out. Leave {them} out, or give another {other}."
    )


def find_unused_fine_tuning(config: train_config.TrainConfig) -> dict[str, str]:
    """Returns options of fine-tuning as flags, in a run without."""
    if objectives.has_gradient_steps(config):
        return {}
    names = {*FINE_TUNING}
    # With --epochs=0 that flag itself is what leaves the stage out.
    if config.training.epochs:
        names.add("epochs")
    # --trainable=head is itself the reason why the stage is left out.
    if config.model.trains_head_only:
        names.remove("trainable")
    return {
        name: got for name, got in list_given(config).items() if name in names
    }


def check_fractions(
    data: data_options.DataOptions, given: Sequence[str | None]
) -> None:
    """Raises `UsageError` for the fraction of a split that the data brings.

    Args:
        data: Which data, and what is asked of it.
        given: The split that the data brings for each picture, None: none.
    """
    for split in ("validation", "test"):
        name = f"{split}_fraction"
        got = list_given(data).get(name)
        # `got` is empty where the fraction has its default.
        if got and split in given:
            raise errors.UsageError(
                f"{got} is for data that brings no {split} split, and "
                f"--data={data.data} brings one. Leave it out; if a flagfile "
                f"sets it, add {_format_default(data, name)}."
            )


def _format_default(config: Any, name: str) -> str:
    """Returns the flag that gives an option its default."""
    (value,) = [
        v for n, _, v, _ in options.list_options(type(config)) if n == name
    ]
    return options.to_flag(name, value)
