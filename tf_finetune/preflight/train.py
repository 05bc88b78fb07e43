"""Checks of a training run that need no TensorFlow."""

import importlib.util
import os
from collections.abc import Sequence

from tf_finetune import errors
from tf_finetune.adaptation import catalog as adaptation
from tf_finetune.backbones import backbone
from tf_finetune.backbones import catalog as backbones
from tf_finetune.config import (
    data_options,
    model_options,
    teacher_options,
    train_config,
    training_options,
)
from tf_finetune.data import scan
from tf_finetune.data import splits as data_splits
from tf_finetune.evaluation import gates, reference_run
from tf_finetune.heads import catalog as heads
from tf_finetune.heads import layer_grammar
from tf_finetune.preflight import unused_options
from tf_finetune.tasks import catalog as tasks
from tf_finetune.tasks import task as task_contract
from tf_finetune.training import optimizers
from tf_finetune.weights import weights_source
from tf_finetune.workdir import lifecycle

_FLOAT_BYTES = 4
_CHANNELS = 3
# Lower bound on the width of a backbone's features.
_FEWEST_FEATURES = 16
# A weight, its gradient, and one slot variable of the optimizer.
_COPIES = 3


def check_config(config: train_config.TrainConfig) -> None:
    """Checks all options of a run that need neither pictures nor TensorFlow.

    Raises:
        UsageError: A name, path or combination of options is impossible.
    """
    if not config.data.data:
        raise errors.UsageError(
            "--data is needed: a folder with one folder per class, a CSV "
            "file, tfds:NAME or digits:FIRST-LAST."
        )
    # Names first: the later checks look up what they stand for.
    spec, _ = backbones.find_spec(config.model.backbone)
    _check_weights(spec, config.model)
    task = tasks.TASKS.get(config.model.task)
    if config.model.head != "auto":
        heads.HEADS.check(config.model.head)
    if config.model.adaptation != "freeze" or weights_source.is_adapter(
        config.model.backbone, config.model.weights
    ):
        adaptation.check_options(config.model)
    head = task.head(config.model.head)
    if config.model.surgery.head_layers:
        layer_grammar.parse_layers(config.model.surgery.head_layers)
    task.check_loss(config.training.loss)
    _check_columns(config.data, task)
    unused_options.check_options(
        config, unused_options.find_training_choices(config, task, head)
    )
    if config.model.keeps_classes:
        from tf_finetune.preflight import kept_classes

        kept_classes.check_config(config, head)
    optimizers.check_name(config.training.optimizer)
    _check_training(config.training)
    if config.training.stages:
        # Loaded only here: a run of one stage needs none of it.
        from tf_finetune.preflight import stage_options

        stage_options.check_stages(config)
    _check_backbone_updates(config)
    asked = config.unlabeled
    if asked.teacher or asked.effective_objective != teacher_options.SUPERVISED:
        from tf_finetune.preflight import unlabeled_options

        unlabeled_options.check_objective(config, task)
    if config.training.strategy == "multi_worker":
        from tf_finetune.preflight import workers

        workers.check_options(config)
    if config.model.image_size is not None:
        spec.check_image_size(config.model.image_size, config.model.backbone)
    check_memory(config, config.model.image_size or spec.image_size)
    _check_tensorboard(config.output)
    for spec in config.output.fail_below:
        gates.check_spec(spec, task.figures)
    _check_reference_run(config, task)


def _check_weights(
    spec: backbone.BackboneSpec, options: model_options.ModelOptions
) -> None:
    if options.init_from is None:
        weights_source.check_weights(spec, options.weights)
        return
    if options.weights != "imagenet":
        raise errors.UsageError(
            f"--weights={options.weights} and --init_from={options.init_from} "
            "both say where the backbone's weights come from. Leave out one."
        )
    weights_source.parse_origin(options.init_from)


def check_pictures(
    config: train_config.TrainConfig, inspected: scan.InspectedPictures
) -> None:
    """Checks the options against the pictures, once these are listed.

    Args:
        config: All options of the run.
        inspected: The pictures found, with their classes and splits.

    Raises:
        UsageError: With these pictures an option has no effect.
        DataError: The task cannot learn from them.
    """
    splits = [each.split for each in inspected.pictures]
    data_splits.check_fractions(config.data, splits)
    task = tasks.TASKS.get(config.model.task)
    if task.check_listed:
        task.check_listed(config, inspected.pictures, inspected.class_names)
    if config.model.keeps_classes:
        from tf_finetune.preflight import kept_classes

        kept_classes.check_names(config, inspected)
    if config.unlabeled.teacher:
        from tf_finetune.preflight import teacher

        teacher.check_classes(config, inspected.class_names)
    if config.data.takes_rows:
        from tf_finetune.inputs import input_rows

        input_rows.check_table(config.data)


def _check_columns(
    data: data_options.DataOptions, task: task_contract.Task
) -> None:
    """Raises `UsageError` if the task cannot read the columns."""
    task.labels.required_columns(data)
    _ = data.input_columns  # Raises for a length that is no number.
    # Tasks that read numeric columns take whole rows, several pictures each.
    takes_rows = unused_options.reads_option(task, "numeric_columns")
    if len(data.image_column) > 1 and not takes_rows:
        raise errors.UsageError(
            "--image_column names several pictures a row, which is for tasks "
            f"that predict a vector; --task={task.name} learns from one."
        )


def _check_training(training: training_options.TrainingOptions) -> None:
    if training.strategy == "parameter_server":
        raise errors.UsageError(
            "--strategy=parameter_server is not possible: Keras 3 has no "
            "model.fit for it, and its workers do not train in step, so that "
            "no result could be repeated. Use multi_worker."
        )
    if isinstance(training.clip_norm, float) and training.clip_variable_norm:
        raise errors.UsageError(
            "--clip_norm and --clip_variable_norm exclude each other; give "
            "one of them."
        )
    parts, size = training.gradient_accumulation_steps, training.batch_size
    if size != "auto" and parts > size:
        raise errors.UsageError(
            f"--gradient_accumulation_steps={parts} divides the {size} "
            "pictures of a step (--batch_size) into more parts than there are. "
            f"Choose at most {size}."
        )


def _check_backbone_updates(config: train_config.TrainConfig) -> None:
    """Raises `UsageError` for options of a backbone that stays frozen."""
    idle = []
    if config.model.layer_decay != "auto":
        idle.append(f"--layer_decay={config.model.layer_decay:g}")
    if config.training.l2_sp:
        idle.append(f"--l2_sp={config.training.l2_sp:g}")
    if idle and config.model.trains_head_only:
        raise errors.UsageError(
            f"{' and '.join(idle)} is for layers of the backbone that move, "
            "and --trainable=head moves none. Leave it out, or give "
            "--trainable=top or --trainable=all."
        )
    layers = config.model.surgery.head_layers
    if layers and config.training.head_start_strength != "auto":
        raise errors.UsageError(
            "--head_start_strength is for a linear head, which is solved; "
            f"with --head_layers={','.join(layers)} the head is trained by "
            "gradient steps. Leave one of them out."
        )


def _check_tensorboard(output: train_config.OutputOptions) -> None:
    # Looked for without being imported, which takes time.
    if output.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise errors.UsageError(
            "--tensorboard needs TensorBoard, which is not installed: pip "
            "install 'tf_finetune[tensorboard]'. history.csv needs none."
        )


def _check_reference_run(
    config: train_config.TrainConfig, task: task_contract.Task
) -> None:
    # "probe" is this run's own baseline; other values are workdirs.
    rival = config.output.fail_if_not_better_than
    if rival in (None, "probe"):
        return
    reference_run.read_figures(rival, task.name, task.figures)
    if not config.output.overwrite:
        return
    # By real paths: the same folder may be given by two names.
    path = os.path.realpath(os.path.expanduser(rival))
    if path == os.path.realpath(lifecycle.choose_workdir(config).path):
        raise errors.UsageError(
            f"--fail_if_not_better_than={rival} is the workdir of this run, "
            "which --overwrite would replace. Choose another --workdir."
        )


def check_memory(config: train_config.TrainConfig, image_size: int) -> None:
    """Raises `UsageError` for sizes that cannot fit into this machine's memory.

    Lower bounds are counted: images of one step as float32, kernels with their
    gradients and one moving average of each. A run that passes may still be
    too large.

    Args:
        config: All options of the run.
        image_size: Side of the network's square input, pixels.
    """
    memory = _read_memory_bytes()
    if not memory:
        return
    model, training = config.model, config.training
    picture = image_size**2 * _CHANNELS * _FLOAT_BYTES
    if picture > memory:
        _refuse(f"--image_size={image_size}", "one picture", picture, memory)
    count = training.batch_size
    # With several machines a step's images are divided among them.
    is_whole = training.strategy not in ("multi_worker", "tpu")
    if count != "auto" and is_whole and count * picture > memory:
        _refuse(
            f"--batch_size={count}",
            f"the pictures of a step ({image_size} x {image_size} pixels each)",
            count * picture,
            memory,
        )
    units = _count_weight_bytes([str(model.head_units)])
    if units > memory:
        _refuse(f"--head_units={model.head_units}", "weights", units, memory)
    layers = model.surgery.head_layers
    if (needed := _count_weight_bytes(layers)) > memory:
        _refuse(f"--head_layers={','.join(layers)}", "weights", needed, memory)


def _count_weight_bytes(layers: Sequence[str]) -> int:
    """Returns the memory for training dense layers of these widths, bytes."""
    widths = [_FEWEST_FEATURES, *(int(e) for e in layers if e.isdecimal())]
    # Kernels of dense layers: Σ width_i · width_(i+1); biases are left out.
    weights = sum(a * b for a, b in zip(widths, widths[1:], strict=False))
    return weights * _FLOAT_BYTES * _COPIES


def _read_memory_bytes() -> int:
    """Returns the memory of this machine, bytes; 0: unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0


def _refuse(flag: str, what: str, needed: int, memory: int) -> None:
    raise errors.UsageError(
        f"{flag} cannot fit: {what} alone would take "
        f"{needed / 1e9:,.0f} GB of memory, and this machine has "
        f"{memory / 1e9:,.0f} GB. Choose a smaller one."
    )
