"""Fit of a regression task to its training targets: transform and bounds."""

import dataclasses

from tf_finetune import errors
from tf_finetune.config import train_config
from tf_finetune.data import examples
from tf_finetune.tasks import task as task_contract
from tf_finetune.tasks.regression import (
    figures,
    labels,
    network,
    target_transforms,
)


def fit_task(
    task: task_contract.Task,
    data: examples.ImageData,
    config: train_config.TrainConfig,
) -> task_contract.Task:
    """Fits the target transform and returns a task that applies it.

    Raises:
        DataError: A target lies outside of --target_range, or has no
            logarithm where --target_transform=log asks for it.
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
    adapted_.__dict__["network"] = network.Network(found)
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
