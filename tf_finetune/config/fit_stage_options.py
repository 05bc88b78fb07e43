"""Fit stages of one run: the notation of `--stages`."""

import contextlib
import dataclasses
from collections.abc import Sequence

from tf_finetune import errors
from tf_finetune.config import options, train_config

SOLVED_HEAD = "head"
"""First entry of `--stages` that stands for the solved head."""

_NOTATION = (
    "A stage is LAYERS:EPOCHS or LAYERS:EPOCHS@RATE, with layers as in "
    "--trainable and + between several: --stages=head,top:3,all:7@1e-4."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitStageOptions:
    """Options of one fit stage, an entry of `--stages`.

    Attributes:
        name: Name in history, log and plan: the layers as they were given,
            with a number where an earlier stage trains the same.
        trainable: Layers that train, as in `--trainable`.
        epochs: Most epochs, at least 1.
        learning_rate: Peak learning rate, above 0; None: that of the run.
    """

    name: str
    trainable: tuple[str, ...]
    epochs: int
    learning_rate: float | None


def parse_stages(entries: Sequence[str]) -> tuple[FitStageOptions, ...]:
    """Parses the value of `--stages`.

    Args:
        entries: Entries such as "head", "top:3", "conv4*+conv5*:7@1e-4".

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
    layers, colon, rest = entry.rpartition(":")
    count, at, rate = rest.partition("@")
    trainable = tuple(each.strip() for each in layers.split("+"))
    if not colon or not all(trainable):
        raise errors.UsageError(
            f"--stages: {entry!r} does not say which layers train for how many "
            f"epochs. {_NOTATION}"
        )
    return FitStageOptions(
        name="+".join(trainable),
        trainable=trainable,
        epochs=_parse_epochs(count, entry),
        learning_rate=_parse_rate(rate, entry) if at else None,
    )


def _parse_epochs(text: str, entry: str) -> int:
    if text.strip().isdecimal() and int(text) > 0:
        return int(text)
    raise errors.UsageError(
        f"--stages: the epochs of {entry!r} must be a whole number of at least "
        f"1, got {text!r}. {_NOTATION}"
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
    return options.replace(
        config,
        stages=(),
        trainable=stage.trainable,
        epochs=stage.epochs,
        learning_rate=config.training.learning_rate if rate is None else rate,
    )


def join_stages(config: train_config.TrainConfig) -> train_config.TrainConfig:
    """Returns the config of one stage that trains the layers of all stages.

    Its step needs at least as much memory as that of every stage.

    Args:
        config: Config of a run with `--stages`.
    """
    stages = parse_stages(config.training.stages)
    every = dict.fromkeys(e for stage in stages for e in stage.trainable)
    return options.replace(config, stages=(), trainable=tuple(every))
