"""Fine-tunes the model of a run in several fit stages (`--stages`).

Source: Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text
Classification", section 3.3 (gradual unfreezing: from the last layer down).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
from absl import logging

from tf_finetune.config import fit_stage_options, options
from tf_finetune.model import inference
from tf_finetune.runs import boundary_activations as boundaries
from tf_finetune.runs import cache_choice
from tf_finetune.runs import context as contexts
from tf_finetune.runs import fine_tune_stage as trainers
from tf_finetune.training import (
    fine_tuning,
    fit,
    history,
    optimizer_state,
    optimizers,
)
from tf_finetune.training.distributed import strategies


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageInput:
    """Input of one fit stage: cached activations or pictures.

    Attributes:
        trainer: Compiled model, left from timing its step; None if nothing was
            timed.
        activations: Cached activations; None: pictures are decoded.
    """

    trainer: keras.Model | None
    activations: boundaries.BoundaryActivations | None

    @property
    def cache(self) -> Literal["on", "off"]:
        """Value of `--cache` in effect: "on" reads activations."""
        return "on" if self.activations else "off"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StagedResult:
    """Result of all fit stages of a run.

    Attributes:
        context: The run in its last stage.
        activations: Cached activations of that stage; None: it read pictures.
        table: History rows of all stages, as `history.make_rows` builds them.
        stages: Facts of each stage for run.json.
        cache: "on" if the stages with a freeze boundary read cached
            activations; "off" if they read pictures, or no stage has one.
    """

    context: contexts.RunContext
    activations: boundaries.BoundaryActivations | None
    table: list[dict]
    stages: Sequence[Mapping[str, Any]]
    cache: Literal["on", "off"]


def begin_first_stage(context: contexts.RunContext) -> contexts.RunContext:
    """Returns the context of the first fit stage of a run.

    Args:
        context: The run, prepared with `--stages`.
    """
    return _make_context(context, 1)


def fine_tune_stages(
    context: contexts.RunContext,
    first: contexts.RunContext,
    begun: StageInput,
) -> StagedResult:
    """Fine-tunes the model of a run in place, one fit stage after another.

    Each stage starts from the weights that the one before it kept, those of its
    best epoch on validation; variables that go on moving keep their optimizer
    state of that epoch. A stage that was finished before an interruption is not
    trained again.

    Args:
        context: The run; its model has the solved head, or a random one.
        first: Context of the first stage, as `begin_first_stage` returns it.
        begun: Input of the first stage.

    Returns:
        History and facts of all stages; the model has the weights that the last
        one kept.
    """
    stage, given, trainer = first, begun, None
    decided = given.cache if first.networks.boundary else None
    table: list[dict] = []
    facts: list[Mapping[str, Any]] = []
    for number, prepared in enumerate(context.stages, start=1):
        name = prepared.options.name
        if trainer:
            carried = optimizer_state.capture_state(trainer)
            with strategies.run_chief_first(context.strategy):
                stage = _make_context(context, number, carried)
                given = _choose_input(stage, decided)
            if stage.networks.boundary:
                decided = decided or given.cache
        trainer = _prepare_trainer(stage, name, given)
        feed = _make_feed(
            stage,
            given.activations,
            sum(e.options.epochs for e in context.stages[: number - 1]),
        )
        outcome = trainers.fit_stage(
            stage, trainer, feed, name=name, table=table
        )
        table = [*table, *history.make_rows(name, outcome.rows)]
        facts.append(_describe_stage(stage, name, outcome, given))
        _log_merging(stage, name)
    return StagedResult(
        context=stage,
        activations=given.activations,
        table=table,
        stages=facts,
        cache=decided or "off",
    )


def _make_context(
    context: contexts.RunContext,
    number: int,
    carried: optimizer_state.CarriedState | None = None,
) -> contexts.RunContext:
    """Returns the context of a stage, which is that of a run of it alone."""
    prepared = context.stages[number - 1]
    config = fit_stage_options.make_stage_config(
        context.config, prepared.options
    )
    if not prepared.boundary and any(e.boundary for e in context.stages):
        # --cache=on is for the stages that can read the cache.
        config = options.replace(config, cache="off")
        logging.info(
            "%s: cache: off; nothing below the first layer that trains could "
            "be cached",
            prepared.options.name,
        )
    shared = context.shared.stage_workdir(number)
    if context.is_chief:
        shared.checkpoints.mkdir(parents=True, exist_ok=True)
    networks, cache = context.networks, context.cache
    if number > 1:
        networks = inference.CompiledNetworks(
            context.assembly, prepared.boundary
        )
        cache = cache.move_to(networks)
    return dataclasses.replace(
        context,
        config=config,
        shared=shared,
        adapted=prepared.adapted,
        networks=networks,
        cache=cache,
        stages=(),
        carried=carried,
    )


def _choose_input(
    stage: contexts.RunContext, decided: Literal["on", "off"] | None
) -> StageInput:
    """Chooses the input of a later stage as the first one did that could."""
    if decided is None or stage.networks.boundary is None:
        choice = cache_choice.choose_input(stage)
    else:
        choice = cache_choice.repeat_choice(stage, decided)
    activations = None
    if choice.reads_cache:
        stage.cache.fill_activations(stage.data.pictures)
        activations = boundaries.compute_activations(stage)
    return StageInput(trainer=choice.trainer, activations=activations)


def _prepare_trainer(
    stage: contexts.RunContext, name: str, given: StageInput
) -> keras.Model:
    """Compiles the model of a stage; its optimizer has its first state."""
    boundary = stage.networks.boundary if given.activations else None
    trainer = given.trainer if given.activations else None
    trainer = trainer or trainers.prepare_trainer(stage, boundary)
    if stage.carried:
        kept = {id(each.variable) for each in stage.carried.variables}
        moving = [id(each) for each in trainer.trainable_variables]
        going_on = sum(each in kept for each in moving)
        logging.info(
            "%s: %d weight tensors go on with their optimizer state, %d begin "
            "to train",
            name,
            going_on,
            len(moving) - going_on,
        )
    return trainer


def _make_feed(
    stage: contexts.RunContext,
    activations: boundaries.BoundaryActivations | None,
    earlier: int,
) -> fine_tuning.TrainingFeed:
    """Builds the batches of a stage after `earlier` epochs of those before."""
    # Another order and other augmentations than those of the epochs before.
    last = stage.config.training.epochs + earlier
    config = options.replace(stage.config, epochs=last)
    feed = trainers.make_feed(
        dataclasses.replace(stage, config=config), activations
    )
    return dataclasses.replace(
        feed,
        batches=lambda epoch, step: feed.batches(epoch + earlier, step),
        names=lambda epoch, step: feed.names(epoch + earlier, step),
    )


def _log_merging(stage: contexts.RunContext, name: str) -> None:
    adapter = stage.adapted.adapter
    if adapter is not None:
        logging.info(
            "%s: %s is merged into the weights of the backbone (%d arrays)",
            name,
            stage.config.model.adaptation,
            len(adapter.targets),
        )


def _describe_stage(
    stage: contexts.RunContext,
    name: str,
    outcome: fit.Outcome,
    given: StageInput,
) -> dict[str, Any]:
    """Returns the entry of a stage in run.json."""
    resolved = optimizers.resolve_options(stage.config)
    return {
        "name": name,
        "adaptation": stage.config.model.adaptation,
        "epochs": len(outcome.rows),
        "kept_epoch": outcome.best + 1,
        "learning_rate": optimizers.choose_learning_rate(resolved),
        "cache": given.cache,
    }
