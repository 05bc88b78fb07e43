"""What the rest of the house may ask of a task."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.data import examples


class Task(Protocol):
    """Everything that changes with what is learnt."""

    name: str

    def num_outputs(self, num_classes: int) -> int:
        """Returns the number of logits."""

    def predictions(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Adds what turns logits [batch, outputs] into predictions."""

    def logits(self, model: keras.Model) -> keras.KerasTensor:
        """Returns what `predictions` was added to, in a model's graph."""

    def calibrated(self, model: keras.Model, temperature: float) -> keras.Model:
        """Returns a model whose logits are divided by a temperature."""

    def finish(self, logits: np.ndarray) -> np.ndarray:
        """Does to an array of logits what `predictions` does in the graph."""

    def targets(self, data: examples.ImageData, split: str) -> np.ndarray:
        """Returns what the loss compares the logits of a split with."""

    def metrics(self) -> list[keras.metrics.Metric]:
        """Returns what `fit` reports of logits and targets."""

    def rank(self, epoch: Mapping[str, float]) -> tuple[float, ...]:
        """Returns what orders epochs on validation; greater is better."""

    def merit(self, figures: Mapping[str, Any]) -> tuple[float, ...]:
        """Returns what orders results of `evaluate`; greater is better."""

    def brief(self, figures: Mapping[str, Any]) -> str:
        """Returns the result of `evaluate` in a few words, for the log."""

    def summary(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the figures of `evaluate` that stand beside others."""

    def evaluate(
        self,
        targets: np.ndarray,
        predictions: np.ndarray,
        *,
        class_names: Sequence[str],
        seed: int,
    ) -> dict[str, Any]:
        """Returns the figures of one split, ready for JSON."""

    def serve(
        self, predictions: tf.Tensor, class_names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Returns what an exported model answers, by name; [batch, …] each."""

    def classify(
        self, predictions: tf.Tensor, class_names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Returns TensorFlow Serving's `classes` and `scores`.

        Both [batch, classes]; empty for a task that does not classify.
        """
