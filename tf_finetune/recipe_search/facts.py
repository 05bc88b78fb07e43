"""Facts that the rules of a recipe decide by, known without TensorFlow."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune.config import given_options, options, train_config
from tf_finetune.data import examples
from tf_finetune.recipe_search import candidates
from tf_finetune.tasks import catalog as tasks


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeFacts:
    """Figures of the pretrained features before anything is fine-tuned.

    Attributes:
        log_loss: Cross-validated log loss of the probe on the training
            pictures, nats; None where it was not cross-validated.
        accuracy: Cross-validated accuracy on the same pictures, 0..1; None
            likewise.
        knn: Leave-one-out accuracy of five nearest neighbors, 0..1.
        majority: Share of the most frequent class, 0..1.
    """

    log_loss: float | None
    accuracy: float | None
    knn: float
    majority: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts of data, device, options and trials; rules are functions of them.

    Attributes:
        training_pictures: Number of pictures in the training split.
        validation_pictures: Number of pictures in the validation split.
        classes: Number of outputs of the model.
        fewest_per_class: Training pictures of the smallest class; None where a
            picture has no single class.
        median_per_class: Median of the training pictures of a class; None
            likewise.
        most_per_class: Training pictures of the largest class; None likewise.
        groups: Number of groups that stay in one split, 0 without groups.
        short_side: Median of the shorter sides of the pictures, pixels.
        short_side_low: 5th percentile of the shorter sides, pixels.
        device: "cpu", "gpu" or "tpu".
        backbone: Value of `--backbone`.
        settings: Values of all options of the run by name, as the user or the
            defaults have them.
        given: Names of the options that a recipe may choose and that are left
            as they are.
        can_compare: Whether the task's fine-tuned models can be compared by log
            loss, so that trials decide.
        budget_seconds: Time for trials, seconds; None: no limit.
        probe: Figures of the features; None before they are computed.
        costs: Seconds per picture; None before they are measured.
        trials: Trials made so far, in their order.
    """

    training_pictures: int
    validation_pictures: int
    classes: int
    fewest_per_class: int | None
    median_per_class: float | None
    most_per_class: int | None
    groups: int
    short_side: float
    short_side_low: float
    device: str
    backbone: str
    settings: Mapping[str, Any]
    given: frozenset[str]
    can_compare: bool
    budget_seconds: float | None = None
    probe: ProbeFacts | None = None
    costs: candidates.Costs | None = None
    trials: tuple[candidates.Trial, ...] = ()

    @property
    def imbalance(self) -> float | None:
        """Pictures of the largest class per one of the smallest, or None."""
        if not self.fewest_per_class:
            return None
        return self.most_per_class / self.fewest_per_class

    @property
    def holds_out(self) -> bool:
        """Whether trials hold out a fifth of the training pictures.

        That is where validation alone is too small to compare them.
        """
        return self.validation_pictures < candidates.FEWEST_VALIDATION

    def to_json(self) -> dict[str, Any]:
        """Returns the facts for JSON, but no trials and no options' values."""
        found = dataclasses.asdict(self)
        for name in ("trials", "settings", "given"):
            del found[name]
        return {**found, "imbalance": self.imbalance}


def collect_facts(
    config: train_config.TrainConfig, data: examples.ImageData, device: str
) -> Facts:
    """Collects the facts that are known before a network is built.

    Args:
        config: Options of the run.
        data: The pictures, in splits.
        device: "cpu", "gpu" or "tpu".

    Returns:
        Facts without probe, costs and trials.
    """
    train = data.split("train")
    counts = _count_classes(train)
    sides = [min(each.width, each.height) for each in data.pictures]
    return Facts(
        training_pictures=len(train),
        validation_pictures=len(data.split("validation")),
        classes=len(data.class_names),
        fewest_per_class=min(counts) if counts else None,
        median_per_class=float(np.median(counts)) if counts else None,
        most_per_class=max(counts) if counts else None,
        groups=len({each.group for each in data.pictures if each.group}),
        short_side=float(np.median(sides)),
        short_side_low=float(np.percentile(sides, 5)),
        device=device,
        backbone=config.model.backbone,
        settings=options.collect_values(config),
        given=frozenset(_find_given(config)),
        can_compare=tasks.TASKS.get(config.model.task).compares_log_loss,
        budget_seconds=config.recipe.budget_seconds,
    )


def _find_given(config: train_config.TrainConfig) -> list[str]:
    """Returns the options that are skipped or differ from their defaults."""
    values = options.collect_values(config)
    return [
        name
        for name in given_options.list_recipe_options()
        if name in config.recipe.recipe_skip
        or values[name] != options.find_field(type(config), name).default
    ]


def _count_classes(train: Sequence[examples.Picture]) -> list[int]:
    """Counts the pictures of each class; [] where labels are no classes."""
    labels = [each.label for each in train]
    if not all(isinstance(each, str) for each in labels):
        return []
    return [*collections.Counter(labels).values()]
