"""Describes the plan of a run: trainable layers, settings and reasons."""

import contextlib
from collections.abc import Callable

from absl import logging

from tf_finetune.adaptation import method
from tf_finetune.backbones.surgery import surgery_steps
from tf_finetune.config import train_config
from tf_finetune.data import data_statistics, pipeline, scan
from tf_finetune.runs import context as contexts
from tf_finetune.runs import fine_tune_stage as trainers
from tf_finetune.runs import head_stage, run_preparation
from tf_finetune.semi_supervised import catalog
from tf_finetune.training import fine_tuning, head_fit, optimizers
from tf_finetune.training.devices import cost_estimate
from tf_finetune.workdir import workdir_files

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
    options = context.config.unlabeled
    if options.effective_objective == catalog.SUPERVISED:
        return []
    return [
        f"then again with --unlabeled_data={options.unlabeled_data}: "
        f"{options.effective_objective} (--objective); the better one is kept"
    ]


def _format_supervised(context: contexts.RunContext) -> str:
    options = context.config.training
    table = method.format_plan_table(
        method.make_plan_rows(context.assembly, context.adapted)
    )
    parts = [
        context.settings.line,
        _describe_weights(context),
        surgery_steps.format_table(_list_changes(context)),
        table,
    ]
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
            "fine_tune: at most "
            f"{data_statistics.format_count(options.epochs, 'epoch')}, "
            f"{data_statistics.format_count(size, 'picture')} a "
            f"step{_format_batch_fit(context)}, from a "
            f"{_HEADS[options.head_init]} head{_format_start(context)}",
            f"optimizer: {options.optimizer}, learning rate "
            f"{_format_rate(context)}, {options.schedule}, warm-up over "
            f"{options.warmup_fraction:.0%} of the steps"
            f"{_format_updates(context)}",
            f"adaptation: {context.config.model.adaptation} (--adaptation); "
            f"{context.adapted.description}",
            f"loss: {' + '.join(context.task.split_loss(options.loss))} "
            f"(--loss={options.loss}); augmentation: {options.augmentation}",
            f"cache: {context.config.output.cache} (--cache); "
            f"{_describe_boundary(context)}",
        ]
    )


def _describe_weights(context: contexts.RunContext) -> str:
    """Describes the graph that PyTorch's weights asked for, if they did."""
    loaded = context.assembly.loaded
    return f"weights: {loaded.graph}" if loaded and loaded.graph else ""


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
    moving = context.adapted.batch_norms
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


def _format_rate(context: contexts.RunContext) -> str:
    options, asked = context.config.training, context.requested_config.training
    rate = optimizers.choose_learning_rate(options)
    # The rate's origin: the recipe, the user, the optimizer's default, or that
    # default scaled to the batch size that was found.
    if "learning_rate" in context.recipe_lines:
        origin = "chosen by --recipe"
    elif asked.learning_rate is not None:
        origin = "given"
    elif context.largest_batch is None:
        origin = f"the default of {options.optimizer}"
    else:
        usual = optimizers.choose_learning_rate(asked)
        origin = (
            f"the default of {options.optimizer}, {usual:g} for "
            f"{optimizers.REFERENCE_BATCH_SIZE} pictures, "
            f"{optimizers.choose_scaling_rule(options)}"
        )
    return f"{rate:g} ({origin}; --learning_rate)"


def _format_updates(context: contexts.RunContext) -> str:
    """Formats layer decay, clipping and the decay to the start."""
    options = optimizers.resolve_clipping(context.config)
    decay = context.config.model.effective_layer_decay
    parts = []
    if context.adapted.learning_rate_factors:
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


def _describe_boundary(context: contexts.RunContext) -> str:
    """Describes the part of the network that can be cached."""
    found = context.networks.boundary
    if found is None:
        return "no part of the network can be cached"
    return (
        f"{found.frozen_share:.0%} of the forward pass is frozen and can be "
        f"cached (freeze boundary at {', '.join(found.names)})"
    )


def report_plan(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    place: workdir_files.Workdir,
    *,
    largest_batch: int | None,
    report: Callable[[str], None],
) -> None:
    """Reports data, plan and cost of a run without training it.

    Every picture is decoded and its features are cached on the way.

    Args:
        config: The config that the user asked for.
        inspected: Pictures whose headers were read.
        place: Workdir for results; nothing is written to it.
        largest_batch: Largest batch size that fits into memory; None without
            `--batch_size=auto`.
        report: Called with each text for the user.
    """
    with contextlib.ExitStack() as held:
        context = run_preparation.prepare_run(
            config, inspected, place, held, largest_batch
        )
        report(data_statistics.format_summary(context.data))
        report(format_plan(context))
        warn_of_single_pictures(context)
        report(estimate_cost(context).text())


def estimate_cost(context: contexts.RunContext) -> cost_estimate.Estimate:
    """Times a few training and inference steps and extrapolates to the run.

    Args:
        context: The run, not trained yet.

    Returns:
        Estimated time and memory of a run that reads pictures, without cached
        activations.
    """
    config, targets = context.config, context.targets("train")
    size = optimizers.choose_batch_size(config.training, len(targets))
    # Enough pictures for the four batches that are measured.
    copies = -(-4 * size // len(targets))  # Rounded up.
    batches = pipeline.build_training_batches(
        [picture.path for picture in context.data.split("train")] * copies,
        targets,
        image_size=context.image_size,
        resize=config.model.resize,
        pixels=config.model.pixels,
        batch_size=size,
        augmentation=config.training.augmentation,
        seed=config.seed,
        first_epoch=0,
        epochs=1,
    )
    steps = fine_tuning.count_steps_per_epoch(config.training, len(targets))
    epochs = config.training.epochs if context.fine_tunes else 0
    with trainers.enter_training(context):
        return cost_estimate.measure_run(
            trainers.prepare_trainer(context),
            context.assembly.extractor,
            batches,
            num_pictures=len(context.data.pictures),
            training_steps=steps * epochs,
            validated_pictures=len(context.data.split("validation")) * epochs,
        )
