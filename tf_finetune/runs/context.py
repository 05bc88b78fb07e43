"""Context that the steps of a run share."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.adaptation import method
from tf_finetune.config import train_config
from tf_finetune.data import examples, pipeline, progress
from tf_finetune.data import split_targets as target_rows
from tf_finetune.model import assembly, freeze_boundary, inference
from tf_finetune.runs import compiled_networks, parity_record, run_cache
from tf_finetune.tasks import evaluate_split
from tf_finetune.tasks import task as task_contract
from tf_finetune.training import fine_tuning
from tf_finetune.training.devices import device_settings, mixed_precision
from tf_finetune.training.distributed import workers
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
    networks: compiled_networks.CompiledNetworks
    cache: run_cache.RunCache
    strategy: tf.distribute.Strategy
    settings: device_settings.Settings

    @property
    def image_size(self) -> int:
        """Side of the model's input, pixels."""
        return self.assembly.backbone.image_size

    @property
    def cache_dir(self) -> pathlib.Path:
        """The folder shared between runs."""
        return self.config.output.cache_folder

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the results."""
        return workers.is_chief(self.strategy)

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

    def judge(
        self,
        split: str,
        predictions: Iterable[np.ndarray],
        decision: Mapping[str, Any] | None = None,
    ) -> evaluate_split.SplitEvaluation:
        """Compares predictions with the labels of a split.

        Args:
            split: Of the pictures.
            predictions: Of all of them in their order, in batches.
            decision: Of the validation split, such as thresholds; None:
                it is made on these predictions.

        Returns:
            Figures; for splits other than training also a row a picture, and
            for the last split the predictions that exports are checked on.
        """
        # Exports are checked on pictures of the last split.
        keep = ()
        if split == self.data.splits[-1]:
            keep = parity_record.choose_indices(
                self.data, self.task.network.max_parity_pictures
            )
        return evaluate_split.evaluate_predictions(
            self.task,
            self.data,
            split,
            predictions,
            seed=self.config.seed,
            decision=decision,
            # predictions.csv lists validation and test pictures only.
            with_rows=split != "train",
            keep=keep,
        )

    def predict(self, split: str) -> Iterator[np.ndarray]:
        """Yields the model's predictions of a split, in its order."""
        images = pipeline.build_evaluation_images(
            [picture.path for picture in self.data.split(split)],
            image_size=self.image_size,
            resize=self.config.model.resize,
            pixels=self.config.model.pixels,
            batch_size=self.config.training.batch_size,
        )
        size = self.config.training.batch_size
        shown = progress.track(
            images,
            total=-(-len(self.data.split(split)) // size),  # Rounded up.
            title=f"Evaluating {split}",
            unit="batches",
            is_brief=True,
        )
        # Traced once a run; weights may change between calls.
        return inference.stream_predictions(self.networks.predictions, shown)


def compile_trainer(
    context: RunContext, above: freeze_boundary.Boundary | None = None
) -> keras.Model:
    """Returns the trainer, ready for the fine-tuning stage.

    Args:
        context: The run.
        above: Trains on activations at this boundary; None: on pictures.
    """
    # The optimizer's variables must be made in the scope, too.
    network = above.suffix if above else context.assembly.trainer
    with context.strategy.scope():
        return fine_tuning.compile_trainer(
            context.adapted.build_trainer(network),
            context.config,
            loss=context.loss,
            metrics=context.task.network.metrics(context.data.class_names),
            num_examples=len(context.data.split("train")),
            settings=context.settings,
        )


def use_training_precision(
    context: RunContext,
) -> contextlib.AbstractContextManager[None]:
    """Returns a context in which the backbone has training's precision."""
    return mixed_precision.apply_policy(
        context.assembly.backbone.model, context.settings.precision
    )


def fine_tunes(
    config: train_config.TrainConfig, adapted: method.Adapted
) -> bool:
    """Whether the fine-tuning stage of a run has anything to do."""
    options = config.training
    # A random head has to be trained even if the backbone is frozen.
    moves = adapted.trained or options.head_init == "random"
    return bool(options.epochs and moves)
