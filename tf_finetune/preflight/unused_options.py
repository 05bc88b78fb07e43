"""Refuses options that nothing reads: the evaluator of `used_by`.

An option declares in `used_by` with which values of other flags something reads
it (`config/conditions.py`); the values that a run has are found here.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from tf_finetune import errors
from tf_finetune.config import conditions, data_options, options, train_config
from tf_finetune.data import label_protocol
from tf_finetune.data.sources import catalog as sources
from tf_finetune.tasks import task as task_contract


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """The values of one flag, on which other options depend.

    Attributes:
        values: One value, several of a list or a sum, none where the flag is
            not given.
        shown: The flag and its values, as an error message names them.
        possible: Values that the flag may have with this task; None: all.
        known: Values whose options are known; another one, a component of the
            user's own, may read any. None: all.
        reads: Options that are read whatever `used_by` says.
    """

    values: Sequence[str]
    shown: str
    possible: Collection[str] | None = None
    known: Collection[str] | None = None
    reads: Collection[str] = ()

    def is_reader(self, name: str, readers: Sequence[str]) -> bool:
        """Returns whether an option is read, given these values of the flag.

        Args:
            name: The option.
            readers: The values that `used_by` lists.
        """
        if name in self.reads:
            return True
        if readers in (conditions.GIVEN, conditions.NOT_GIVEN):
            return bool(self.values) == (readers == conditions.GIVEN)
        own = self.known is not None and not {*self.values} <= {*self.known}
        return own or not {*self.values}.isdisjoint(readers)


Choices = Mapping[str, Callable[[], Choice]]
"""Flags whose choice their value alone does not tell, each with a function
that finds it; it may read the disk, so it is called only when it matters."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refusal:
    """An option that nothing reads, and the condition that does not hold.

    Attributes:
        given: The option with its value, as a flag.
        flag: The flag that the condition is about.
        readers: Values of that flag that read the option.
        choice: The values that the flag has.
    """

    given: str
    flag: str
    readers: Sequence[str]
    choice: Choice


def check_options(config: Any, choices: Choices) -> None:
    """Raises `UsageError` for options that are given but nothing reads.

    An option at its default is never refused: run.flags names them all.

    Args:
        config: The config of any command.
        choices: By flag, a function that returns its `Choice`, for flags
            whose value alone does not tell it ("auto").
    """
    if found := find_unused(config, choices):
        raise errors.UsageError(_format_refusals([*found.values()]))


def find_unused(config: Any, choices: Choices) -> dict[str, Refusal]:
    """Returns refused options by name; `choices` as for `check_options`."""
    found = {
        name: _find_refusal(config, choices, name, given)
        for name, given in list_given(config).items()
    }
    return {name: why for name, why in found.items() if why}


def _find_refusal(
    config: Any, choices: Choices, name: str, given: str
) -> Refusal | None:
    """Returns the first condition of an option that does not hold."""
    used_by = options.find_field(type(config), name).metadata["used_by"]
    if conditions.STAGE in choices:
        # An option that names no stage is for any training.
        used_by = {conditions.STAGE: (conditions.TRAINING,), **used_by}
    for flag, readers in used_by.items():
        if flag == conditions.STAGE and flag not in choices:
            continue  # A command without stages.
        find = choices.get(flag)
        choice = find() if find else _read_choice(config, flag)
        if not choice.is_reader(name, readers):
            return Refusal(
                given=given, flag=flag, readers=readers, choice=choice
            )
    return None


def list_given(config: Any) -> dict[str, str]:
    """Returns the options not at their defaults, as "--name=value" by name."""
    values = options.collect_values(config)
    return {
        name: options.to_flag(name, values[name])
        for name, _, default, _ in options.list_options(type(config))
        if values[name] != default
    }


def _read_choice(config: Any, flag: str) -> Choice:
    """Returns the choice that the value of a flag is."""
    value = options.collect_values(config)[flag]
    shown = options.to_flag(flag, value)
    if value is None or value is False or value in ("", ()):
        return Choice(values=(), shown=shown)
    several = value if isinstance(value, tuple) else (value,)
    return Choice(
        values=[options.to_text(each) for each in several], shown=shown
    )


def _format_refusals(found: Sequence[Refusal]) -> str:
    """Returns the message about options that nothing reads."""
    staged = [each for each in found if each.flag == conditions.STAGE]
    sentences = [_format_refusal(e) for e in found if e not in staged]
    if staged:
        sentences.append(_format_staged(staged))
    return " ".join(sentences)


def _format_staged(staged: Sequence[Refusal]) -> str:
    """Returns the message about options of a stage that the run has not."""
    listed = ", ".join(each.given for each in staged)
    are, them = ("are", "them") if len(staged) > 1 else ("is", "it")
    why = staged[0].choice.shown
    if conditions.KEPT_CLASSIFIER in staged[0].choice.values:
        return (
            f"{listed} {are} for training, and {why} trains nothing. Leave "
            f"{them} out, or leave {why} out."
        )
    return (
        f"{listed} {are} for fine-tuning, and {why} leaves that out. Leave "
        f"{them} out, or give another {why.partition('=')[0]}."
    )


def _format_refusal(found: Refusal) -> str:
    """Returns the message that names the values an option is for."""
    if found.readers == conditions.GIVEN:
        return (
            f"{found.given} is for --{found.flag}, which is not given. Give "
            f"--{found.flag}, or leave {found.given.partition('=')[0]} out."
        )
    if found.readers == conditions.NOT_GIVEN:
        return (
            f"{found.choice.shown} takes the place of {found.given}. Leave "
            f"{found.given.partition('=')[0]} or --{found.flag} out."
        )
    possible = found.choice.possible
    listed = " and ".join(
        f"--{found.flag}={each}"
        for each in found.readers
        if possible is None or each in possible
    )
    return (
        f"{found.given} is for {listed}; {found.choice.shown} does not read "
        "it. Leave it out."
    )


def find_training_choices(
    config: train_config.TrainConfig, task: task_contract.Task, head: str
) -> Choices:
    """Builds the choices of a training run: by flag, a function that finds one.

    Args:
        config: All options of the run.
        task: The task that `--task` names.
        head: The head that `--head` names or leaves to the task.
    """
    asked = config.unlabeled
    named = "stages" if config.training.stages else "adaptation"
    return {
        "task": lambda: choose_task(task),
        "head": lambda: _choose_part("head", config.model.head, head),
        "adaptation": lambda: Choice(
            values="+".join(config.adaptations).split("+"),
            shown=options.to_flag(named, options.collect_values(config)[named]),
            known=_list_known("adaptation"),
        ),
        "objective": lambda: _choose_part(
            "objective", asked.objective, asked.effective_objective
        ),
        "loss": lambda: Choice(
            values=task.split_loss(config.training.loss),
            shown=f"--loss={config.training.loss}",
            possible=task.losses,
            reads=task.reads,
        ),
        "cache": lambda: dataclasses.replace(
            _read_choice(config, "cache"),
            reads=["augmentation_views"] * bool(asked.teacher),
        ),
        "data_format": lambda: choose_format(config.data, task.labels),
        conditions.STAGE: lambda: choose_stage(config),
    }


def choose_task(task: task_contract.Task, origin: str = "") -> Choice:
    """Builds the `Choice` of `--task`: its value and the options it reads.

    Args:
        task: The task.
        origin: Clause on the place that names it, if `--task` does not.
    """
    return Choice(
        values=[task.name],
        shown=f"--task={task.name}" + (f", {origin}," if origin else ""),
        reads=task.reads,
    )


def choose_format(
    data: data_options.DataOptions, labels: label_protocol.Labels
) -> Choice:
    """Builds the `Choice` of `--data_format`; "auto" is found out on disk.

    Args:
        data: Options that say where the pictures are.
        labels: Label format of the task.

    Raises:
        UsageError: No data is given, or the format is unknown or unfit.
        DataError: There is nothing, or nothing of a known format.
    """
    found = sources.find_source_name(data, labels)
    origin = ", the format of --data," if data.data_format == "auto" else ""
    return Choice(
        values=[found],
        shown=f"--data_format={found}{origin}",
        known=_list_known("data_format"),
    )


def _choose_part(flag: str, given: str | None, chosen: str) -> Choice:
    """Returns the choice of a part that a flag names or leaves open."""
    origin = f", chosen by --{flag}={options.to_text(given)},"
    return Choice(
        values=[chosen],
        shown=f"--{flag}={chosen}" + ("" if given == chosen else origin),
        known=_list_known(flag),
    )


def _list_known(flag: str) -> Sequence[str]:
    """Lists the parts of a flag whose options are known."""
    found = options.find_field(train_config.TrainConfig, flag)
    return found.metadata["known_parts"]


def choose_stage(config: train_config.TrainConfig) -> Choice:
    """Builds the `Choice` of the stages of a run that `used_by` may name."""
    if config.model.keep_classifier:
        return Choice(
            values=[conditions.KEPT_CLASSIFIER], shown="--keep_classifier"
        )
    values = [conditions.TRAINING]
    if config.has_gradient_steps:
        values += conditions.FINE_TUNING[conditions.STAGE]
    # Two ways leave the stage out; the flags that do are not refused for it.
    causes = {} if config.training.epochs else {"epochs": "--epochs=0"}
    if config.model.trains_head_only:
        causes["trainable"] = "--trainable=head, of which the head is solved,"
    why = next(iter(causes.values()), "")
    return Choice(values=values, shown=why, reads=causes)


def reads_option(task: task_contract.Task, name: str) -> bool:
    """Returns whether a task reads the option `name`, which not all read."""
    field = options.find_field(train_config.TrainConfig, name)
    readers = field.metadata["used_by"]["task"]
    return choose_task(task).is_reader(name, readers)
