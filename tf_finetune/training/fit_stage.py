"""A training stage (head or fine-tuning) as data, for `fit`."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from tf_finetune.training import ema

Rank = Callable[[Mapping[str, float]], tuple[float, ...]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitStage:
    """One call of `fit`: its data, length, selection and checkpoints.

    Attributes:
        name: As history and log call it.
        epochs: At most.
        steps_per_epoch: Batches an epoch, the last partial one included.
        batches: Epoch and step → all batches from there on; those before are
            not read.
        validation: Batches for `model.evaluate` after each epoch, or
            None.
        rank: Orders epochs by their figures; None: the last one is kept.
        patience: Epochs without a better rank before the stage ends; None:
            never.
        folder: Where the stage keeps what it continues from; None: nowhere,
            and nothing is recovered from.
        writes: Whether this process writes there; else another one does.
        averages: Swaps moving averages in for evaluation; None: no EMA.
        report: Called with the rows of all finished epochs after each.
        checkpoint_every_steps: Besides after every epoch; None or 0: not.
        keep_checkpoints: How many.
        grace_seconds: Time that a request to stop may take.
        max_recoveries: How often a NaN or infinite loss is recovered from.
        names: Epoch and step → names of the examples of that batch.
    """

    name: str
    epochs: int
    steps_per_epoch: int
    batches: Callable[[int, int], tf.data.Dataset]
    validation: tf.data.Dataset | None = None
    rank: Rank | None = None
    patience: int | None = None
    folder: pathlib.Path | None = None
    writes: bool = True
    averages: ema.EmaCallback | None = None
    report: Callable[[Sequence[Mapping[str, float]]], None] | None = None
    checkpoint_every_steps: int | None = None
    keep_checkpoints: int = 2
    grace_seconds: float = 30.0
    max_recoveries: int = 2
    names: Callable[[int, int], Sequence[str]] | None = None


def list_metric_variables(model: keras.Model) -> list[keras.Variable]:
    """Returns the running sums of a compiled model's loss and metrics."""
    return [v for metric in model.metrics for v in metric.variables]


def build_metrics(model: keras.Model, batches: tf.data.Dataset) -> None:
    """Creates the metrics' variables before the first step does.

    A resumed epoch needs them, to restore their running sums.

    Args:
        model: Compiled.
        batches: Its training batches; only their spec is read.
    """
    # One example of zeros is enough for Keras to learn the shapes.
    spec = batches.element_spec[1]
    targets = tf.zeros([1, *spec.shape[1:]], spec.dtype)
    logits = tf.zeros([each or 1 for each in model.output_shape])
    model.compute_metrics(x=None, y=targets, y_pred=logits)
    model.reset_metrics()
