"""Context of a run: the values that its steps share."""

import dataclasses
import functools
from typing import Any

import keras
import tensorflow as tf

from tf_finetune.adaptation import method
from tf_finetune.config import train_config
from tf_finetune.data import examples
from tf_finetune.data import split_targets as target_rows
from tf_finetune.model import assembly, inference
from tf_finetune.runs import run_cache
from tf_finetune.tasks import task as task_contract
from tf_finetune.training.devices import device_settings
from tf_finetune.training.distributed import strategies
from tf_finetune.workdir import workdir_files


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunContext:
    """Config, data, model and devices of a run, shared by its steps.

    Attributes:
        config: The config in effect.
        requested_config: The config asked for: the same, but for a batch size
            and a learning rate that were found.
        largest_batch: The batch size that fits into memory; None where that
            was not asked.
        place: Where results go; a worker that is not the chief has one of its
            own, which nobody reads.
        shared: Where the chief's results go, which all workers read.
        data: Cleaned and divided.
        task: The task, adapted to the data.
        assembly: The model and its parts.
        adapted: The model as fine-tuning trains it.
        networks: The model compiled, split below the first trained layer.
        cache: The outputs of its frozen part.
        strategy: The devices; variables must be made in its scope.
        settings: How they compute while training.
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

    @property
    def image_size(self) -> int:
        """Side of the model's input, pixels."""
        return self.assembly.backbone.image_size

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the results."""
        return strategies.is_chief(self.strategy)

    @property
    def fine_tunes(self) -> bool:
        """Whether the fine-tuning stage has anything to do."""
        return fine_tunes(self.config, self.adapted)

    @functools.cached_property
    def label_description(self) -> dict[str, Any]:
        """The description of the labels, as in data.json."""
        return self.task.labels.describe(self.data)

    @property
    def loss(self) -> keras.losses.Loss:
        """The training loss, computed on logits."""
        return self.task.network.loss(
            self.config.training, self.data.class_names, self.label_description
        )

    def targets(self, split: str) -> target_rows.Targets:
        """Returns the targets of a split."""
        return self.task.network.targets(
            self.data, split, config=self.config, image_size=self.image_size
        )


def fine_tunes(
    config: train_config.TrainConfig, adapted: method.Adapted
) -> bool:
    """Whether the fine-tuning stage of a run has anything to do."""
    options = config.training
    # A random head has to be trained even if the backbone is frozen.
    moves = adapted.trained or options.head_init == "random"
    return bool(options.epochs and moves)
