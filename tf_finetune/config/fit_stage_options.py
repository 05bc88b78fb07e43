"""Fit stages of one run: the notation of `--stages`."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence

from tf_finetune import errors
from tf_finetune.config import model_options, options, train_config

SOLVED_HEAD = "head"
"""First entry of `--stages` that stands for the solved head."""

CHOSEN_ADAPTER = "adapter"
"""Word of a stage that stands for the adapter of `--adaptation`."""

# Methods that train the layers themselves, and need no word in a stage.
_FREEZE = "freeze"
# The adapter of CHOSEN_ADAPTER where --adaptation names none.
_DEFAULT_ADAPTER = "lora"

_NOTATION = (
    "A stage is LAYERS:EPOCHS or LAYERS:EPOCHS@RATE, with layers as in "
    "--trainable and + between several: --stages=head,top:3,all:7@1e-4. "
    "Adapters stand in place of LAYERS, or before them and a slash: "
    "adapter:8, lora+norm:8, lora/top:8."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitStageOptions:
    """Options of one fit stage, an entry of `--stages`.

    Attributes:
        name: Name in history, log and plan: adapters and layers as they were
            given, with a number where an earlier stage is called the same.
        adaptation: Method of the stage, as in `--adaptation`: "freeze" where
            the layers themselves train, or `CHOSEN_ADAPTER`.
        trainable: Layers that train or are adapted, as in `--trainable`.
        epochs: Most epochs, at least 1.
        learning_rate: Peak learning rate, above 0; None: that of the run.
    """

    name: str
    adaptation: str
    trainable: tuple[str, ...]
    epochs: int
    learning_rate: float | None

    def choose_adaptation(self, model: model_options.ModelOptions) -> str:
        """Returns the method of the stage, a value of `--adaptation`.

        Args:
            model: Options of the run, whose method `CHOSEN_ADAPTER` stands for;
                it is lora where that is freeze.
        """
        if self.adaptation != CHOSEN_ADAPTER:
            return self.adaptation
        is_chosen = model.adaptation != _FREEZE
        return model.adaptation if is_chosen else _DEFAULT_ADAPTER


def parse_stages(entries: Sequence[str]) -> tuple[FitStageOptions, ...]:
    """Parses the value of `--stages`.

    Args:
        entries: Entries such as "head", "top:3", "conv4*+conv5*:7@1e-4",
            "adapter:8", "lora+norm/top:8".

    Returns:
        The stages that train by gradient steps, in order; the solved head
        ("head" without epochs) is not among them.

    Raises:
        UsageError: An entry is not in the notation, or trains nothing that the
            stage before it does not train.
    """
    trained = [e for i, e in enumerate(entries) if i or e != SOLVED_HEAD]
    if not trained:
        raise errors.UsageError(
            "--stages=head only solves the head, which is --epochs=0. Add a "
            f"stage with epochs, or give --epochs=0 instead. {_NOTATION}"
        )
    found: list[FitStageOptions] = []
    for entry in trained:
        stage = _parse_stage(entry)
        if found:
            _require_news(found[-1], stage, entry)
        number = len(found) + 1
        if any(stage.name == each.name for each in found):
            stage = dataclasses.replace(stage, name=f"{stage.name} ({number})")
        found.append(stage)
    return tuple(found)


def _parse_stage(entry: str) -> FitStageOptions:
    """Parses one entry of `--stages`; raises `UsageError` if it is none."""
    if entry == SOLVED_HEAD:
        raise errors.UsageError(
            "--stages: head, the solved head, can only come first. head:3 "
            f"trains a random head (--head_init=random). {_NOTATION}"
        )
    subject, colon, rest = entry.rpartition(":")
    count, at, rate = rest.partition("@")
    # No name of a Keras layer has a slash.
    parts = [
        [word.strip() for word in part.split("+")]
        for part in subject.split("/")
    ]
    if not colon or not all(all(part) for part in parts):
        raise errors.UsageError(
            f"--stages: {entry!r} does not say which layers train for how many "
            f"epochs. {_NOTATION}"
        )
    adaptation, trainable = _parse_subject(parts, entry)
    return FitStageOptions(
        name="/".join("+".join(part) for part in parts),
        adaptation=adaptation,
        trainable=tuple(trainable),
        epochs=_parse_epochs(count, entry),
        learning_rate=_parse_rate(rate, entry) if at else None,
    )


def _parse_subject(
    parts: Sequence[Sequence[str]], entry: str
) -> tuple[str, Sequence[str]]:
    """Returns the method and the layers of a stage.

    Args:
        parts: Words between slashes: layers, adapters, or both in turn.
        entry: The entry, for the message.
    """
    words = _list_adapter_words()
    adapters = [each for each in parts[0] if each in words]
    if len(parts) == 1 and not adapters:
        return _FREEZE, parts[0]
    others = [each for each in parts[0] if each not in words]
    if len(parts) > 2 or others:
        raise errors.UsageError(
            f"--stages: {entry!r} mixes adapters and layers. Adapters "
            f"({', '.join(words)}) are joined by + and stand alone or before a "
            "slash: lora/top:8; layers that begin with such a word are those "
            f"of {words[-1]}*. {_NOTATION}"
        )
    if CHOSEN_ADAPTER in adapters and len(adapters) > 1:
        raise errors.UsageError(
            f"--stages: {entry!r} joins adapter, the method of --adaptation, "
            f"with others. Name all of them, as in lora+norm:8. {_NOTATION}"
        )
    return "+".join(adapters), parts[1] if len(parts) > 1 else ("all",)


def _list_adapter_words() -> list[str]:
    """Lists the words by which a stage names adapters."""
    field = options.find_field(model_options.ModelOptions, "adaptation")
    known = [each for each in field.metadata["known_parts"] if each != _FREEZE]
    return [CHOSEN_ADAPTER, *known]


def _parse_epochs(text: str, entry: str) -> int:
    digits = text.strip()
    if digits.isdecimal() and len(digits) < 10 and int(digits) > 0:
        return int(digits)
    raise errors.UsageError(
        f"--stages: the epochs of {entry!r} must be a whole number of up to "
        f"nine digits, at least 1, got {text!r}. {_NOTATION}"
    )


def _parse_rate(text: str, entry: str) -> float:
    with contextlib.suppress(ValueError):
        # NaN and infinity fail one of the comparisons.
        if 0 < float(text) < float("inf"):
            return float(text)
    raise errors.UsageError(
        f"--stages: the learning rate of {entry!r} must be a number above 0, "
        f"got {text!r}. {_NOTATION}"
    )


def _require_news(
    before: FitStageOptions, stage: FitStageOptions, entry: str
) -> None:
    """Raises `UsageError` if a stage trains only layers of the one before."""
    # An adapter's numbers are new where another method trained before.
    if stage.adaptation != before.adaptation:
        return
    # The head trains in every stage.
    if "all" in before.trainable or {*stage.trainable} <= {
        *before.trainable,
        "head",
    }:
        raise errors.UsageError(
            f"--stages: {entry!r} trains nothing that the stage before it "
            f"({before.name}) does not train. Name more layers, or give one "
            "stage the epochs of both."
        )


def have_own_rates(entries: Sequence[str]) -> bool:
    """Returns whether every stage has a learning rate of its own (`@`).

    Args:
        entries: The value of `--stages`.
    """
    return all(each.learning_rate for each in parse_stages(entries))


def make_stage_config(
    config: train_config.TrainConfig, stage: FitStageOptions
) -> train_config.TrainConfig:
    """Returns the config of a run that consists of one stage alone.

    Args:
        config: Config of the whole run; a learning rate that the stage lacks is
            taken from it.
        stage: The stage.
    """
    rate = stage.learning_rate
    adaptation = stage.choose_adaptation(config.model)
    return options.replace(
        config,
        stages=(),
        adaptation=adaptation,
        trainable=stage.trainable,
        epochs=stage.epochs,
        learning_rate=config.training.learning_rate if rate is None else rate,
        # Numbers of an adapter have no pretrained values.
        l2_sp=config.training.l2_sp if adaptation == _FREEZE else 0.0,
    )


def list_adaptations(config: train_config.TrainConfig) -> tuple[str, ...]:
    """Lists the methods of the stages of a run, each once.

    Args:
        config: Config of a run with `--stages`.
    """
    stages = parse_stages(config.training.stages)
    found = (each.choose_adaptation(config.model) for each in stages)
    return tuple(dict.fromkeys(found))


def set_rates(
    config: train_config.TrainConfig, choose_rate: Callable[[str], float]
) -> train_config.TrainConfig:
    """Returns a config whose stages all have a learning rate of their own.

    Args:
        config: Config of a run with `--stages`.
        choose_rate: Returns the rate of a stage without one, by its method.
    """
    stages = iter(parse_stages(config.training.stages))
    entries = []
    for number, entry in enumerate(config.training.stages):
        if number or entry != SOLVED_HEAD:
            stage = next(stages)
            if stage.learning_rate is None:
                adaptation = stage.choose_adaptation(config.model)
                entry = f"{entry}@{choose_rate(adaptation)!r}"
        entries.append(entry)
    return options.replace(config, stages=tuple(entries))


def join_stages(config: train_config.TrainConfig) -> train_config.TrainConfig:
    """Returns the config of one stage that trains the layers of all stages.

    Its step needs about as much memory as that of every stage, or more: of an
    adapter's layers a step holds changed values and gradients, where one that
    trains them holds gradients and the optimizer's state.

    Args:
        config: Config of a run with `--stages`.
    """
    stages = parse_stages(config.training.stages)
    every = dict.fromkeys(e for stage in stages for e in stage.trainable)
    methods = list_adaptations(config)
    return options.replace(
        config,
        stages=(),
        adaptation=methods[0] if len(methods) == 1 else _FREEZE,
        trainable=tuple(every),
    )
