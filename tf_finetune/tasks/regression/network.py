"""Network of a regression: output layers, loss, metrics, serving outputs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.config import train_config, training_options
from tf_finetune.data import examples
from tf_finetune.data import split_targets as target_rows
from tf_finetune.tasks import task as task_contract
from tf_finetune.tasks.regression import figures, labels, target_transforms

_FIRST_LAYER = "target_scale"
_LOSS = "mean_squared_error"  # What "auto" means.


class RegressionLoss(keras.losses.Loss):
    """Squared, absolute or Huber loss of standardized targets.

    Args:
        name: "mean_squared_error"; "mean_absolute_error"; "huber" (Huber 1964,
            "Robust Estimation of a Location Parameter", section 5, with its
            corner at one standard deviation of the targets).
    """

    def __init__(self, name: str) -> None:
        """Chooses the loss function."""
        super().__init__(name=name)
        # Keras' functions by the same name; "huber" has delta 1 by default.
        self._function = getattr(keras.losses, name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Computes the loss of each example, [batch], mean over targets.

        Args:
            y_true: [batch, targets], standardized.
            y_pred: [batch, targets] logits.
        """
        return self._function(
            keras.ops.cast(y_true, "float32"),
            keras.ops.cast(y_pred, "float32"),
        )


class Network:
    """Output layers, loss and metrics of regression, one logit a target.

    Args:
        transform: Fitted on the training data; None: predictions are the
            logits, unchanged.
    """

    # Squared error with L2 has a closed form.
    solver = "ridge"
    parity_outputs = ("values",)
    text_outputs = ()
    max_parity_pictures = 64

    def __init__(
        self, transform: target_transforms.Transform | None = None
    ) -> None:
        """Stores the target transform."""
        self.transform = transform

    def num_outputs(self, names: Sequence[str]) -> int:
        """Returns the number of targets: one logit each."""
        return len(names)

    def predictions(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Adds layers from logits to the user's units, [batch, targets]."""
        return add_output_layers(logits, self.transform)

    def find_logits(self, model: keras.Model) -> keras.KerasTensor:
        """Finds the logits, the standardized predictions, [batch, targets].

        Raises:
            RunError: The model does not end as `predictions` ends it.
        """
        for layer in reversed(model.layers):
            if layer.name == _FIRST_LAYER:
                return layer.input
        raise errors.RunError(
            f"The model has no layer {_FIRST_LAYER!r}, with which this package "
            "converts logits to the units of the targets."
        )

    def finish(self, logits: np.ndarray) -> np.ndarray:
        """Converts logits [n, targets] to float32 in the user's units."""
        if self.transform is None:
            return np.asarray(logits, "float32")
        return self.transform.restore_units(logits)

    def targets(
        self,
        data: examples.ImageData,
        split: str,
        *,
        config: train_config.TrainConfig,
        image_size: int,
    ) -> target_rows.ArrayTargets:
        """Returns the targets of a split, float32 [targets] per picture.

        They are standardized by `transform`; before `fit_to_data` has set it,
        they are in the user's units. `config` and `image_size` are not used.
        """
        values = labels.stack_targets(data.split(split))
        if self.transform is not None:
            values = self.transform.forward(values)
        return target_rows.ArrayTargets(values)

    def build_blank_targets(
        self, names: Sequence[str], count: int, *, image_size: int
    ) -> target_rows.ArrayTargets:
        """Returns placeholder targets, zeros [targets] for `count` pictures."""
        return target_rows.ArrayTargets(np.zeros([count, len(names)]))

    def loss(
        self,
        options: training_options.TrainingOptions,
        names: Sequence[str],
        described: Mapping[str, Any] | None,
    ) -> RegressionLoss:
        """Builds the loss that `options.loss` names; the rest is not used."""
        name = _LOSS if options.loss == "auto" else options.loss
        return RegressionLoss(name)

    def metrics(self, names: Sequence[str]) -> list[keras.metrics.Metric]:
        """Builds a list of one Keras metric, MAE of standardized targets."""
        return [keras.metrics.MeanAbsoluteError(name="absolute_error")]

    def serve(
        self, predictions: tf.Tensor, names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Returns `values`, float32 [batch, targets], in the user's units."""
        return {"values": predictions}

    def classify(
        self, predictions: tf.Tensor, names: Sequence[str]
    ) -> dict[str, tf.Tensor]:
        """Returns `outputs` [batch, 1] of one target; empty for several."""
        return {"outputs": predictions} if len(names) == 1 else {}


NETWORK = Network()


def add_output_layers(
    logits: keras.KerasTensor, transform: target_transforms.Transform | None
) -> keras.KerasTensor:
    """Adds layers that convert standardized logits to the user's units.

    Where the model predicts the logarithm of some targets only, both branches
    are computed and added: exp(z · m) · m + z · (1 - m) with m = 1 for
    logarithms.

    Args:
        logits: [batch, targets].
        transform: Fitted on the training data; None: the logits are in the
            user's units, and stay as they are.

    Returns:
        float32 [batch, targets], within the bounds of the transform.
    """
    if transform is None:
        return _add_rescaling(logits, 1.0, 0.0, _FIRST_LAYER)
    scale = np.array(transform.deviation)
    offset = np.array(transform.mean)
    logged = np.array(transform.logged)
    if not logged.any():
        values = _add_rescaling(logits, scale, offset, _FIRST_LAYER)
    else:
        raw = _add_rescaling(logits, scale, offset, _FIRST_LAYER)
        values = _add_exponential(raw, logged)
    if not np.isfinite([transform.low, transform.high]).any():
        return values
    return _add_bounds(values, transform)


def _add_exponential(
    raw: keras.KerasTensor, logged: np.ndarray
) -> keras.KerasTensor:
    if logged.all():
        return keras.layers.Activation(
            "exponential", dtype="float32", name="exponential"
        )(raw)
    # z · m before exp, so that a large plain target cannot overflow.
    mask = logged.astype("float64")
    power = keras.layers.Activation("exponential", dtype="float32")(
        _add_rescaling(raw, mask, 0.0, "logged_targets")
    )
    return keras.layers.Add(dtype="float32", name="all_targets")(
        [
            _add_rescaling(power, mask, 0.0, "exponentials"),
            _add_rescaling(raw, 1 - mask, 0.0, "plain_targets"),
        ]
    )


def _add_bounds(
    values: keras.KerasTensor, transform: target_transforms.Transform
) -> keras.KerasTensor:
    """Clips values by layers that every export format supports."""
    low, high = transform.low, transform.high
    # ReLU and Rescaling only: high - relu(high - z), or low + relu(z - low).
    if not np.isfinite(low):
        turned = _add_rescaling(values, -1.0, high, "below_the_highest")
        bounded = keras.layers.ReLU(dtype="float32", name="bounds")(turned)
        return _add_rescaling(bounded, -1.0, high, "bounded_values")
    shifted = _add_rescaling(values, 1.0, -low, "above_the_lowest")
    bounded = keras.layers.ReLU(
        max_value=high - low if np.isfinite(high) else None,
        dtype="float32",
        name="bounds",
    )(shifted)
    return _add_rescaling(bounded, 1.0, low, "bounded_values")


def _add_rescaling(
    values: keras.KerasTensor,
    scale: np.ndarray | float,
    offset: np.ndarray | float,
    name: str,
) -> keras.KerasTensor:
    layer = keras.layers.Rescaling(
        scale=np.asarray(scale).tolist(),
        offset=np.asarray(offset).tolist(),
        dtype="float32",
        name=name,
    )
    return layer(values)


def fit_task(
    task: task_contract.Task,
    data: examples.ImageData,
    config: train_config.TrainConfig,
) -> task_contract.Task:
    """Fits the target transform and returns a new task that applies it.

    Args:
        task: The regression task.
        data: The transform is fitted on its training split.
        config: The target range and transform are read.

    Raises:
        DataError: A target lies outside of --target_range, or has no
            logarithm although --target_transform=log asks for it.
    """
    # Clipping to the range is part of the model, after the inverse transform.
    bounds, kind = config.model.target_range, config.training.target_transform
    _check_range(data, bounds)
    if kind == "log":
        _check_positive(data)
    found = target_transforms.fit_transform(
        kind,
        labels.stack_targets(data.split("train")),
        data.class_names,
        # Of all splits: the loss on validation needs the logarithm, too.
        least=labels.stack_targets(data.pictures).min(axis=0),
        bounds=bounds,
    )
    adapted_ = dataclasses.replace(
        task, figures=figures.Figures(logged=found.logged)
    )
    # `Task.network` is a cached property: this is its cache.
    adapted_.__dict__["network"] = Network(found)
    return adapted_


def _check_range(data: examples.ImageData, bounds: tuple[float, ...]) -> None:
    if not bounds:
        return
    low, high = bounds
    for picture in data.pictures:
        for name, value in zip(data.class_names, picture.label, strict=True):
            if not low <= value <= high:
                raise errors.DataError(
                    f"{picture.path}: the target {name!r} is {value:g}, "
                    f"outside of --target_range={low:g},{high:g}."
                )


def _check_positive(data: examples.ImageData) -> None:
    for picture in data.pictures:
        for name, value in zip(data.class_names, picture.label, strict=True):
            if value <= 0:
                raise errors.DataError(
                    f"{picture.path}: --target_transform=log needs targets "
                    f"above 0, and {name!r} is {value:g}; use none or auto."
                )
