"""Describes the plan of a run: trainable layers, settings and reasons."""

import dataclasses

from absl import logging

from tf_finetune.adaptation import catalog as adaptation
from tf_finetune.adaptation import method
from tf_finetune.backbones.surgery import surgery_steps
from tf_finetune.config import teacher_options, train_config
from tf_finetune.data import data_statistics
from tf_finetune.model import freeze_boundary
from tf_finetune.runs import context as contexts
from tf_finetune.runs import head_stage
from tf_finetune.training import head_fit, optimizers


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageTexts:
    """Parts of the plan that depend on the fit stages of a run.

    Attributes:
        table: Layers and their numbers of weights that train.
        length: Number of epochs.
        rate: Learning rate and its origin.
        updates: Further settings of its steps.
        adaptation: The adaptation method and its effect.
        boundary: Part of the network that can be cached.
    """

    table: str
    length: str
    rate: str
    updates: str
    adaptation: str
    boundary: str


_HEADS = {"probe": "solved", "random": "random"}


def format_plan(context: contexts.RunContext) -> str:
    """Formats the plan of a run as text of several lines.

    It shows the devices, the layers and how many of their weights train, the
    head, the optimizer and the choice about the cache, with the flag of each.

    Args:
        context: The run, not trained yet.
    """
    lines = [
        *context.recipe_lines.values(),
        _format_supervised(context),
        *_format_semi_supervised(context),
    ]
    return "\n".join(lines)


def _format_semi_supervised(context: contexts.RunContext) -> list[str]:
    options, lines = context.config.unlabeled, []
    if options.teacher:
        from tf_finetune.runs import distillation  # Only with a teacher.

        lines.append(distillation.describe_plan(context))
    if options.effective_objective == teacher_options.SUPERVISED:
        return lines
    return [
        *lines,
        f"then again with --unlabeled_data={options.unlabeled_data}: "
        f"{options.effective_objective} (--objective); the better one is kept",
    ]


def _format_supervised(context: contexts.RunContext) -> str:
    options, stages = context.config.training, _format_stages(context)
    parts = [
        context.settings.line,
        _describe_weights(context),
        stages.table,
        _describe_classes(context),
    ]
    if changes := _list_changes(context):
        parts.insert(2, surgery_steps.format_table(changes))
    table = "\n".join(part for part in parts if part)
    head = f"head: {_format_head(context)}, {_describe_head_fit(context)}"
    if not context.fine_tunes:
        return f"{table}\n{head}; the backbone stays frozen"
    size = optimizers.choose_batch_size(
        options, len(context.data.split("train"))
    )
    return "\n".join(
        [
            table,
            head,
            f"fine_tune: {stages.length}, "
            f"{data_statistics.format_count(size, 'picture')} a "
            f"step{_format_batch_fit(context)}, from a "
            f"{_HEADS[options.head_init]} head{_format_start(context)}",
            f"optimizer: {options.optimizer}, {stages.rate}, "
            f"{options.schedule}, warm-up over {options.warmup_fraction:.0%} "
            f"of the steps{stages.updates}",
            f"adaptation: {stages.adaptation}",
            f"loss: {' + '.join(context.task.split_loss(options.loss))} "
            f"(--loss={options.loss}); augmentation: {options.augmentation}",
            f"cache: {context.config.output.cache} (--cache); "
            f"{stages.boundary}",
        ]
    )


def _format_stages(context: contexts.RunContext) -> StageTexts:
    """Formats that part of the plan which stages of `--stages` change."""
    if context.stages:
        # Loaded only here: a run of one stage needs none of it.
        from tf_finetune.runs import stage_plan

        return stage_plan.format_stages(context)
    epochs = context.config.training.epochs
    return StageTexts(
        table=method.format_plan_table(
            method.make_plan_rows(context.assembly, context.adapted)
        ),
        length=f"at most {data_statistics.format_count(epochs, 'epoch')}",
        rate=f"learning rate {format_rate(context)}",
        updates=format_updates(context.config, context.adapted),
        adaptation=(
            f"{context.config.model.adaptation} (--adaptation); "
            f"{context.adapted.description}"
        ),
        boundary=describe_boundary(context.networks.boundary),
    )


def _describe_weights(context: contexts.RunContext) -> str:
    """Describes the graph or the network that weights come from, if known."""
    loaded = context.assembly.loaded
    return f"weights: {loaded.origin}" if loaded and loaded.origin else ""


def _describe_classes(context: contexts.RunContext) -> str:
    """Describes the origin of the classes where an earlier run's are kept."""
    if not context.config.model.keeps_classes:
        return ""
    from tf_finetune.runs import kept_classes

    return kept_classes.describe_plan(context)


def _list_changes(context: contexts.RunContext) -> list[surgery_steps.Change]:
    """Lists the changes of surgery, the layers of a longer head included."""
    # --head_layers is no surgery of the backbone, but shown in its table.
    layers = context.config.model.surgery.head_layers
    if not layers:
        return [*context.assembly.changes]
    head = context.assembly.head
    return [
        *context.assembly.changes,
        surgery_steps.Change(
            flag="--head_layers",
            layers=surgery_steps.summarize_names(context.assembly.head_layers),
            before="one dense layer",
            after=f"{', '.join(layers)}, then the dense layer",
            new=head.count_params(),
        ),
    ]


def _format_head(context: contexts.RunContext) -> str:
    options = context.config.model
    head = context.task.head(options.head)
    return ", ".join([head, *options.surgery.head_layers])


def _describe_head_fit(context: contexts.RunContext) -> str:
    """Describes how the head is trained before fine-tuning."""
    options = context.config.training
    if head_fit.takes_feature_maps(context.assembly.features):
        from tf_finetune.training import decoder_head

        steps = decoder_head.count_steps(
            options, len(context.data.split("train"))
        )
        return (
            f"trained for {data_statistics.format_count(steps, 'step')} on "
            "feature maps cached once (--head_epochs)"
        )
    return "solved on features cached once"


def warn_of_single_pictures(context: contexts.RunContext) -> None:
    """Logs a warning if batch norm would learn its statistics from one picture.

    That is where batch norms train and each replica gets one picture a step.
    """
    training = context.config.training
    size = optimizers.choose_batch_size(
        training, len(context.data.split("train"))
    )
    # A replica's own part of the batch.
    pictures = size // context.strategy.num_replicas_in_sync
    prepared = context.stages or [context]
    moving = {name for each in prepared for name in each.adapted.batch_norms}
    if context.fine_tunes and moving and pictures <= 1:
        logging.warning(
            "Batch norm learns its mean and variance from single pictures: "
            "--batch_size=%d with --freeze_batch_norm=false, in %s. Use a "
            "--batch_size of 8 or more, or leave out "
            "--freeze_batch_norm=false.",
            size,
            data_statistics.format_count(len(moving), "layer"),
        )


def _format_batch_fit(context: contexts.RunContext) -> str:
    if context.largest_batch is None:
        return ""
    return f" (--batch_size=auto; {context.largest_batch} fit into memory)"


def format_rate(context: contexts.RunContext) -> str:
    """Formats the learning rate: "0.001 (given; --learning_rate)"."""
    options, asked = context.config.training, context.requested_config.training
    rate, usual = (
        optimizers.choose_learning_rate(optimizers.resolve_options(each))
        for each in (context.config, context.requested_config)
    )
    # The rate's origin: the recipe, the user, the optimizer's default, or that
    # default scaled to the batch size that was found.
    if "learning_rate" in context.recipe_lines:
        origin = "chosen by --recipe"
    elif asked.learning_rate is not None:
        origin = "given"
    elif context.largest_batch is None:
        origin = f"the default of {options.optimizer}{_name_adapters(context)}"
    else:
        origin = (
            f"the default of {options.optimizer}{_name_adapters(context)}, "
            f"{usual:g} for "
            f"{optimizers.REFERENCE_BATCH_SIZE} pictures, "
            f"{optimizers.choose_scaling_rule(options)}"
        )
    return f"{rate:g} ({origin}; --learning_rate)"


def _name_adapters(context: contexts.RunContext) -> str:
    """Returns " with lora" where the default rate is that of an adapter."""
    if context.config.model.adaptation == "freeze":
        return ""
    found = adaptation.list_adapters(context.config.model.adaptation)
    return f" with {' + '.join(found)}" if found else ""


def format_updates(
    config: train_config.TrainConfig, adapted: method.Adapted
) -> str:
    """Formats the changes to plain updates for the plan's line `optimizer`.

    These are layer decay, clipping of gradients, and the decay of weights
    towards their pretrained values (`--l2_sp`).

    Args:
        config: The config of the run or stage.
        adapted: Its `learning_rate_factors` tell if rates differ by layer.

    Returns:
        Those in effect, each as ", VALUE (--flag)"; empty for none.
    """
    options = optimizers.resolve_options(config)
    decay = config.model.effective_layer_decay
    parts = []
    if adapted.learning_rate_factors:
        parts.append(f", layer decay {decay:g} (--layer_decay)")
    if options.clip_norm:
        parts.append(
            f", gradients clipped to norm {options.clip_norm:g} (--clip_norm)"
        )
    if options.l2_sp:
        parts.append(f", decay to the start {options.l2_sp:g} (--l2_sp)")
    return "".join(parts)


def _format_start(context: contexts.RunContext) -> str:
    """Formats the strength of the head that fine-tuning starts from."""
    options = context.config
    is_solved = head_stage.choose_solver(context) == "logistic"
    if not is_solved or options.training.head_init == "random":
        return ""
    strength = options.training.head_start_strength
    return f" (--head_start_strength={strength})"


def describe_boundary(found: freeze_boundary.Boundary | None) -> str:
    """Describes the share of the forward pass that can be cached, if any."""
    if found is None:
        return "no part of the network can be cached"
    return (
        f"{found.frozen_share:.0%} of the forward pass is frozen and can be "
        f"cached (freeze boundary at {', '.join(found.names)})"
    )
