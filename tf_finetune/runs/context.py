"""Context of a run: the values that its steps share."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from tf_finetune.adaptation import method
from tf_finetune.config import picture_options, train_config
from tf_finetune.data import examples
from tf_finetune.data import split_targets as target_rows
from tf_finetune.model import assembly, inference
from tf_finetune.runs import run_cache
from tf_finetune.tasks import task as task_contract
from tf_finetune.training.devices import device_settings
from tf_finetune.training.distributed import strategies
from tf_finetune.workdir import workdir_files

if TYPE_CHECKING:
    from tf_finetune.config import fit_stage_options
    from tf_finetune.model import freeze_boundary
    from tf_finetune.runs import distillation
    from tf_finetune.training import optimizer_state


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedStage:
    """One of several fit stages of a run, prepared before the run begins.

    Attributes:
        options: Its layers, epochs and learning rate.
        adapted: The model prepared for it by an adaptation method; its
            `build_trainer` is called when the stage begins, on the weights
            that the stage before it left.
        boundary: Its freeze boundary; None where nothing can be cached.
    """

    options: "fit_stage_options.FitStageOptions"
    adapted: method.Adapted
    boundary: "freeze_boundary.Boundary | None"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunContext:
    """Config, data, model and devices of a run, shared by its steps.

    Attributes:
        config: The config in effect.
        requested_config: The config that the user asked for; it differs from
            `config` in a batch size and a learning rate that were found.
        largest_batch: Largest batch size that fits into memory; None without
            `--batch_size=auto`.
        place: Workdir for results; a worker that is not the chief has a
            temporary one of its own, which nobody reads.
        shared: Workdir of the chief, which all workers read.
        data: Usable pictures, divided into splits.
        task: The task, with its label statistics of this data.
        assembly: The model and its parts.
        adapted: The model prepared for fine-tuning by `--adaptation`.
        networks: Compiled forward passes, split at the freeze boundary.
        cache: Cached features and activations of the frozen layers.
        strategy: The devices; variables must be made in its scope.
        settings: Precision, compilation and other settings of the devices.
        recipe_lines: By option that `--recipe=auto` chose, its value and the
            reason in one line; other lines of the recipe under "".
        stages: The fit stages of `--stages`; `adapted`, `networks` and `cache`
            are those of the first one. Empty: the run has one stage.
        carried: Optimizer state of the stage before; None in the first one.
        distillation: The teacher of `--teacher`; None without one.
    """

    config: train_config.TrainConfig
    requested_config: train_config.TrainConfig
    largest_batch: int | None
    place: workdir_files.Workdir
    shared: workdir_files.Workdir
    data: examples.ImageData
    task: task_contract.Task
    assembly: assembly.Assembly
    adapted: method.Adapted
    networks: inference.CompiledNetworks
    cache: run_cache.RunCache
    strategy: tf.distribute.Strategy
    settings: device_settings.Settings
    recipe_lines: Mapping[str, str] = dataclasses.field(default_factory=dict)
    stages: Sequence[PreparedStage] = ()
    carried: "optimizer_state.CarriedState | None" = None
    distillation: "distillation.Distillation | None" = None

    @property
    def image_size(self) -> int:
        """Side of the model's input, pixels."""
        return self.assembly.backbone.image_size

    @property
    def square(self) -> picture_options.Square:
        """The square that pictures are decoded into, the model's input."""
        return self.config.model.make_square(self.image_size)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the results."""
        return strategies.is_chief(self.strategy)

    @property
    def fine_tunes(self) -> bool:
        """Whether fine-tuning follows the fit of the head in this run."""
        return fine_tunes(self.config, self.adapted)

    @functools.cached_property
    def label_description(self) -> dict[str, Any]:
        """The entries of data.json about labels, such as class counts."""
        return self.task.labels.describe(self.data)

    @property
    def loss(self) -> keras.losses.Loss:
        """The loss of logits against `fit_targets`."""
        loss = self.task.network.loss(
            self.config.training, self.data.class_names, self.label_description
        )
        if self.distillation is None:
            return loss
        return self.distillation.wrap_loss(self, loss)

    def make_metrics(self) -> list[keras.metrics.Metric]:
        """Returns new metrics of logits against `fit_targets`."""
        metrics = self.task.network.metrics(self.data.class_names)
        if self.distillation is None:
            return metrics
        return self.distillation.wrap_metrics(metrics)

    def fit_targets(self, split: str) -> target_rows.Targets:
        """Returns the targets that fine-tuning reads, of a split in order.

        Those of the training split hold a teacher's logits, if there is one.

        Args:
            split: "train" or "validation".
        """
        labels = self.targets(split)
        if self.distillation is None or split != "train":
            return labels
        return self.distillation.make_targets(self, labels)

    def targets(self, split: str) -> target_rows.Targets:
        """Returns the targets of a split, which the loss compares with logits.

        They come one for each picture of the split, in its order.

        Args:
            split: "train", "validation" or "test".
        """
        return self.task.network.targets(
            self.data, split, config=self.config, image_size=self.image_size
        )


def fine_tunes(
    config: train_config.TrainConfig, adapted: method.Adapted
) -> bool:
    """Tells whether a run has a fine-tuning stage.

    Args:
        config: The config of the run.
        adapted: The layers that the adaptation method trains.

    Returns:
        False with `--epochs=0`, and where the backbone is frozen and the head
        is solved (`--head_init=probe`); else True.
    """
    options = config.training
    # A random head has to be trained even if the backbone is frozen.
    moves = adapted.trained or options.head_init == "random"
    return bool(options.epochs and moves)
