"""Divergence of a loss to NaN or infinity: its origin, lower learning rates."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.training import fit_stage as stages
from tf_finetune.training.checkpoints import checkpoint_store

_NAMES_SHOWN = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepPosition:
    """Training step within a stage; `str` gives it as text, counted from 1.

    Attributes:
        stage: Name of the stage.
        epoch: Epoch, from 0.
        step: Step of the epoch, from 0.
    """

    stage: str
    epoch: int
    step: int

    def __str__(self) -> str:
        return (
            f"step {self.step + 1} of epoch {self.epoch + 1} of stage "
            f"{self.stage}"
        )


class DivergedError(ArithmeticError):
    """Error: the loss or a weight became NaN or infinite.

    Attributes:
        place: Training step at which that was seen.
    """

    def __init__(self, place: StepPosition) -> None:
        """Makes the message of the training step `place`."""
        super().__init__(f"diverged at {place}")
        self.place = place


def has_non_finite_weight(model: keras.Model) -> bool:
    """Tells whether any weight of a model is NaN or infinite."""
    return any(not _is_finite(each) for each in model.weights)


def find_origin(
    model: keras.Model,
    stage: stages.FitStage,
    *,
    start: checkpoint_store.Progress,
    failed: StepPosition,
) -> str:
    """Finds where a loss became NaN or infinite, by repeating the steps.

    Args:
        model: Compiled model, restored to `start`; its weights are unusable
            afterwards.
        stage: The stage that failed.
        start: Progress of the checkpoint before the failure, in the same epoch.
        failed: Step at which the failure was seen. It may have begun a step
            earlier: a NaN gradient shows in the next step's loss.

    Returns:
        A sentence with a space after it, which names the step, the layer or
        weight and the pictures; empty if the failure does not recur.
    """
    batches = stage.batches(failed.epoch, start.step)
    # Not strict: the count has no end.
    steps = zip(itertools.count(start.step), batches, strict=False)
    for step, (inputs, targets) in itertools.islice(
        steps, failed.step + 1 - start.step
    ):
        # Layer by layer only near the failure: it costs a second forward pass.
        is_near = step >= failed.step - 1
        if is_near and (found := _find_first_in_step(model, inputs, targets)):
            place = dataclasses.replace(failed, step=step)
            return (
                f"It began at {place}: {found}{_describe_batch(stage, place)}. "
            )
        model.train_on_batch(inputs, targets)
    if has_non_finite_weight(model):
        batch = _describe_batch(stage, failed)
        return f"It began at {failed}: in a weight update{batch}. "
    return ""


def _find_first_in_step(model: keras.Model, inputs: Any, targets: Any) -> str:
    """Names the first tensor of a step that is NaN or infinite, or ""."""
    for each in keras.tree.flatten(inputs):
        if not _is_finite(each):
            return "the pictures themselves contain NaN or infinite values"
    for weight in model.weights:
        if not _is_finite(weight):
            return f"the weight {weight.path} is NaN or infinite"
    with tf.GradientTape() as tape:
        for name, output in _compute_outputs(model, inputs):
            if not all(map(_is_finite, keras.tree.flatten(output))):
                return f"the output of layer {name} is NaN or infinite"
        loss = model.compute_loss(x=inputs, y=targets, y_pred=output)
    if not _is_finite(loss):
        return "the loss is NaN or infinite, but the model's output is finite"
    variables = [v.value for v in model.trainable_variables]
    gradients = tape.gradient(loss, variables)
    # Backpropagation reaches the last layer first.
    for variable, gradient in zip(
        reversed(model.trainable_variables), reversed(gradients), strict=True
    ):
        if gradient is not None and not _is_finite(gradient):
            return f"the gradient of {variable.path} is NaN or infinite"
    return ""


def _compute_outputs(model: keras.Model, inputs: Any) -> list[tuple[str, Any]]:
    """Computes each layer's name and output, the model's own output last."""
    graph = getattr(model, "_functional", None) or model
    # A layer may be part of several models: only its nodes in this one count.
    by_depth = sorted(graph._nodes_by_depth.items(), reverse=True)
    nodes = [n for _, nodes in by_depth for n in nodes if not n.is_input]
    every = keras.Model(
        graph.inputs, [*(n.output_tensors for n in nodes), graph.outputs]
    )
    *outputs, last = every(inputs, training=True)
    named = [(n.operation.name, o) for n, o in zip(nodes, outputs, strict=True)]
    return [*named, (graph.name, last[0])]


def _describe_batch(stage: stages.FitStage, place: StepPosition) -> str:
    if stage.names is None:
        return f" (batch {place.step + 1})"
    names: Sequence[str] = stage.names(place.epoch, place.step)
    shown = ", ".join(names[:_NAMES_SHOWN])
    rest = len(names) - _NAMES_SHOWN
    return f" (batch of {shown}{f' and {rest} more' if rest > 0 else ''})"


def _is_finite(value: Any) -> bool:
    if isinstance(value, tf.IndexedSlices):
        value = value.values
    array = np.asarray(value)
    # Integers (states of random generators) are always finite; bfloat16 has
    # kind "V" in NumPy.
    if array.dtype.kind not in "fV":
        return True
    return bool(np.isfinite(array.astype("float32", copy=False)).all())


class ScaledSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Learning-rate schedule multiplied by a constant factor.

    Args:
        schedule: The schedule to scale.
        factor: Multiplies its learning rate at every step.
    """

    def __init__(
        self,
        schedule: keras.optimizers.schedules.LearningRateSchedule,
        factor: float,
    ) -> None:
        """Takes the schedule and the factor of its learning rates."""
        super().__init__()
        self._schedule = schedule
        self._factor = factor

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate of a step."""
        return self._schedule(step) * self._factor

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of `__init__`, as Keras serializes them."""
        return {"schedule": self._schedule, "factor": self._factor}


class LearningRateScaler:
    """Scales the learning rate of an optimizer relative to its initial one.

    Args:
        optimizer: Optimizer to scale; may be wrapped by loss scaling.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Stores the present learning rate or schedule as the initial one."""
        # The public attribute gives a schedule's value, not the schedule.
        plain = getattr(optimizer, "inner_optimizer", optimizer)
        self._optimizer = plain
        self._first = plain._learning_rate
        if not _is_schedule(self._first):
            self._first = float(np.asarray(plain.learning_rate))
        self._factor = 1.0

    def scale(self, factor: float) -> bool:
        """Sets the learning rate to `factor` times the initial one.

        Returns:
            Whether functions compiled before must be compiled again: a
            schedule is traced into them, a plain number is a variable.
        """
        if not _is_schedule(self._first):
            self._optimizer.learning_rate = self._first * factor
            return False
        is_news = factor != self._factor
        if is_news:
            self._optimizer.learning_rate = ScaledSchedule(self._first, factor)
            self._factor = factor
        return is_news


def _is_schedule(rate: Any) -> bool:
    return isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
