"""Metrics of a classifier, and how they rank, print and plot."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune.data import examples
from tf_finetune.metrics import (
    baselines,
    candidate_selection,
    classification_metrics,
)
from tf_finetune.tasks import collected_predictions
from tf_finetune.tasks.classification import class_table
from tf_finetune.workdir import json_schema


class Figures:
    """Ranks by accuracy, ties by log loss."""

    higher_is_better = (
        "accuracy",
        "macro_f1",
        "macro_precision",
        "macro_recall",
        "top_5_accuracy",
        "weighted_f1",
        "weighted_precision",
        "weighted_recall",
    )
    lower_is_better = ("expected_calibration_error", "log_loss")
    unbounded = ("log_loss",)

    def rank_epoch(self, epoch: Mapping[str, float]) -> tuple[float, ...]:
        """Ranks by validation accuracy, ties by validation log loss."""
        return (epoch["val_accuracy"], -epoch["val_loss"])

    def merit(self, figures: Mapping[str, Any]) -> tuple[float, ...]:
        """Orders results by accuracy, ties by log loss."""
        return (figures["accuracy"], -figures["log_loss"])

    def format_brief(self, figures: Mapping[str, Any]) -> str:
        """Formats accuracy and log loss."""
        return (
            f"accuracy {figures['accuracy']:.3f} "
            f"(log loss {figures['log_loss']:.3f})"
        )

    def describe_difference(
        self, figures: Mapping[str, Any], other: Mapping[str, Any]
    ) -> str:
        """Describes the difference in accuracy and its interval."""
        found = baselines.compare_accuracies(figures, other)
        return (
            f"the difference in accuracy is {found.difference:+.4f}, 95 % "
            f"interval {found.low:+.4f} to {found.high:+.4f}"
        )

    def summary(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Returns accuracy, its interval and log loss."""
        names = ("accuracy", "accuracy_interval", "log_loss")
        return {name: figures[name] for name in names}

    def judge(
        self, data: examples.ImageData, split: str, *, seed: int
    ) -> collected_predictions.CollectedPredictions:
        """Returns an accumulator that computes all figures of a classifier."""
        labels = np.array(data.class_indices(data.split(split)))
        return collected_predictions.CollectedPredictions(
            # Predictions may be of the first pictures of the split alone.
            lambda predictions: classification_metrics.compute_metrics(
                labels[: len(predictions)],
                predictions,
                class_names=data.class_names,
                seed=seed,
            ),
            lambda predictions: build_evidence(labels, predictions),
        )

    def compute_baselines(
        self,
        described: Mapping[str, Any],
        data: examples.ImageData,
        split: str,
    ) -> dict[str, Any]:
        """Computes the baseline that always answers the commonest class.

        Without training pictures (`--keep_classifier`) there is none.
        """
        counts = described["classes"]["train"]
        trained_on = [counts[name] for name in data.class_names]
        if not any(trained_on):
            return {}
        found = baselines.evaluate_majority_class(
            np.repeat(np.arange(len(trained_on)), trained_on),
            data.class_indices(data.split(split)),
            class_names=data.class_names,
        )
        return {"majority_class": found}

    def text(self, figures: Mapping[str, Any]) -> str:
        """Formats every split with its baselines, then the classes."""
        return class_table.format_result(figures)

    def draw(
        self,
        figures: Mapping[str, Any],
        names: Sequence[str],
        folder: pathlib.Path,
        split: str,
    ) -> None:
        """Draws the confusion matrix."""
        # Takes a while to load, and not every command draws.
        from tf_finetune.drawing import result_plots

        result_plots.plot_confusion(
            figures["confusion_matrix"],
            names,
            folder / f"confusion_{split}.png",
            title=f"{split}: accuracy "
            f"{result_plots.format_percent(figures['accuracy'])} of "
            f"{figures['examples']} pictures",
        )


FIGURES = Figures()


def build_evidence(
    labels: np.ndarray, probabilities: np.ndarray
) -> candidate_selection.Evidence:
    """Returns which pictures are classified correctly, and their log losses.

    Args:
        labels: [n] indices of the true classes.
        probabilities: [n, classes].
    """
    correct = np.argmax(probabilities, axis=1) == labels
    return candidate_selection.Evidence(
        figure="accuracy",
        # [draws, n] weights of a bootstrap → accuracy of each draw.
        value=lambda weights: weights @ correct / weights.sum(axis=1),
        losses=classification_metrics.log_loss_per_example(
            labels, probabilities
        ),
        correct=correct,
    )


def build_data_schema(names: Sequence[str]) -> json_schema.Record:
    """Returns the schema of the class counts that data.json holds."""
    count = json_schema.Number(0, 10**12, is_whole=True)
    counts = json_schema.Record(dict.fromkeys(names, count))
    return json_schema.Record(
        {"classes": json_schema.Record({"train": counts})}
    )
