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

from tf_finetune import assembly, inference, workdir
from tf_finetune.adaptation import cutting, freezing
from tf_finetune.config import train
from tf_finetune.data import examples, pipeline, progress
from tf_finetune.data import targets as target_rows
from tf_finetune.runs import frozen, proof
from tf_finetune.runs import networks as compiled_networks
from tf_finetune.tasks import judging
from tf_finetune.tasks import task as task_contract
from tf_finetune.training import fine_tuning
from tf_finetune.training.devices import device_settings, precision
from tf_finetune.training.distributed import workers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Course:
    """Config, data, model and devices of a run, shared by its steps.

    Attributes:
        config: The config in effect.
        asked: The config asked for: the same, but for a batch size and a
            learning rate that were found.
        largest_batch: The batch size that fits into memory; None where that
            was not asked.
        place: Where results go; a worker that is not the chief has one of its
            own, which nobody reads.
        shared: Where the chief's results go, which all workers read.
        data: Cleaned and divided.
        task: The task, adapted to the data.
        built: The model.
        selection: The backbone layers that fine-tuning moves.
        networks: The model compiled, split below the first of them.
        cache: The outputs of its frozen part.
        strategy: The devices; variables must be made in its scope.
        settings: How they compute while training.
    """

    config: train.TrainConfig
    asked: train.TrainConfig
    largest_batch: int | None
    place: workdir.Workdir
    shared: workdir.Workdir
    data: examples.ImageData
    task: task_contract.Task
    built: assembly.Assembly
    selection: freezing.Selection
    networks: compiled_networks.Networks
    cache: frozen.Cache
    strategy: tf.distribute.Strategy
    settings: device_settings.Settings

    @property
    def image_size(self) -> int:
        """Side of the model's input, pixels."""
        return self.built.backbone.image_size

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
        return fine_tunes(self.config, self.selection)

    @functools.cached_property
    def described(self) -> dict[str, Any]:
        """The description of the labels, as in data.json."""
        return self.task.labels.describe(self.data)

    @property
    def loss(self) -> keras.losses.Loss:
        """The training loss, computed on logits."""
        return self.task.network.loss(
            self.config.training, self.data.class_names, self.described
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
    ) -> judging.Judged:
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
            keep = proof.places(self.data, self.task.network.num_proven)
        return judging.judge(
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
        images = pipeline.evaluation_images(
            [picture.path for picture in self.data.split(split)],
            image_size=self.image_size,
            resize=self.config.model.resize,
            pixels=self.config.model.pixels,
            batch_size=self.config.training.batch_size,
        )
        size = self.config.training.batch_size
        shown = progress.bar(
            images,
            total=-(-len(self.data.split(split)) // size),  # Rounded up.
            title=f"Evaluating {split}",
            unit="batches",
            is_brief=True,
        )
        # Traced once a run; weights may change between calls.
        return inference.stream(self.networks.predictions, shown)


def compiled(course: Course, above: cutting.Cut | None = None) -> keras.Model:
    """Returns the trainer, ready for the fine-tuning stage.

    Args:
        course: The run.
        above: Trains on activations at this boundary; None: on pictures.
    """
    # The optimizer's variables must be made in the scope, too.
    with course.strategy.scope():
        return fine_tuning.compiled(
            above.suffix if above else course.built.trainer,
            course.built,
            course.selection,
            course.config,
            loss=course.loss,
            metrics=course.task.network.metrics(course.data.class_names),
            num_examples=len(course.data.split("train")),
            settings=course.settings,
        )


def in_precision(course: Course) -> contextlib.AbstractContextManager[None]:
    """Returns a context in which the backbone has training's precision."""
    return precision.computing(
        course.built.backbone.model, course.settings.precision
    )


def fine_tunes(
    config: train.TrainConfig, selection: freezing.Selection
) -> bool:
    """Whether the fine-tuning stage of a run has anything to do."""
    options = config.training
    # A random head has to be trained even if the backbone is frozen.
    moves = selection.layer_names or options.head_init == "random"
    return bool(options.epochs and moves)
