"""Labels of a run that keeps all classes of an earlier one."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tf_finetune.config import train_config
from tf_finetune.data import label_protocol
from tf_finetune.weights import class_plan, earlier_head, weights_source


def add_earlier_classes(
    config: train_config.TrainConfig, labels: label_protocol.NamedLabels
) -> label_protocol.NamedLabels:
    """Returns labels that keep all classes of the earlier run as outputs.

    Args:
        config: All options of the run, with `--classes=keep`.
        labels: Those of the task.

    Raises:
        UsageError: The earlier run has no classes to keep, or `--class_map`
            does not fit it.
    """
    path = weights_source.parse_source(config.model.weights).path
    kept = class_plan.list_kept(
        earlier_head.check_earlier_run(path, config.model.task).class_names(),
        class_plan.parse_class_map(config.model.class_map),
    )
    # As `known`, numbers are spelled as the earlier run has them: 1, not 1.0.
    return dataclasses.replace(labels, kept=kept, known=kept)


def restore_classes(
    labels: label_protocol.NamedLabels, described: Mapping[str, Any]
) -> label_protocol.NamedLabels:
    """Returns the labels by which a finished run read its own pictures.

    Args:
        labels: Those of the task.
        described: The content of the run's data.json.
    """
    names = tuple(described["class_names"])
    return dataclasses.replace(labels, kept=names, known=names)
