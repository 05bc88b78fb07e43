"""Metrics of a classifier, and how they rank, print and plot."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune import terminal_escapes
from tf_finetune.data import examples
from tf_finetune.metrics import (
    candidate_selection,
    classification_metrics,
    evaluators,
)
from tf_finetune.tasks import result_table
from tf_finetune.workdir import json_schema

# 34 + 4 columns of 11 are 78, 25 + 8 + 9 + 15 + 9 + 6 + 8 are 80.
_NAME_WIDTH = 34
_SPLIT_WIDTH = 25
_BASELINE_NAMES = {
    "majority_class": "majority class",
}
_PER_CLASS = ("precision", "recall", "f1")


class Figures:
    """Metrics of a classifier; ranks by accuracy, ties by log loss."""

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
        """Returns the key (val_accuracy, -val_loss) of an epoch's logs."""
        return (epoch["val_accuracy"], -epoch["val_loss"])

    def merit(self, figures: Mapping[str, Any]) -> tuple[float, ...]:
        """Returns the key (accuracy, -log loss) of a split's metrics."""
        return (figures["accuracy"], -figures["log_loss"])

    def format_brief(self, figures: Mapping[str, Any]) -> str:
        """Formats accuracy and log loss of a split in a few words."""
        return (
            f"accuracy {figures['accuracy']:.3f} "
            f"(log loss {figures['log_loss']:.3f})"
        )

    def describe_difference(
        self, figures: Mapping[str, Any], other: Mapping[str, Any]
    ) -> str:
        """Describes the difference in accuracy, `figures` minus `other`.

        The sentence has the 95 % confidence interval of the difference.
        """
        found = candidate_selection.compare_accuracies(figures, other)
        return (
            f"the difference in accuracy is {found.difference:+.4f}, 95 % "
            f"interval {found.low:+.4f} to {found.high:+.4f}"
        )

    def summary(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Selects `accuracy`, `accuracy_interval` and `log_loss`."""
        names = ("accuracy", "accuracy_interval", "log_loss")
        return {name: figures[name] for name in names}

    def create_evaluator(
        self, data: examples.ImageData, split: str, *, seed: int
    ) -> evaluators.CollectedPredictions:
        """Creates an accumulator that evaluates predictions of a split.

        Args:
            data: The pictures with their true classes.
            split: "train", "validation" or "test".
            seed: Seed of the bootstrap.

        Returns:
            An accumulator of [batch, classes] probabilities, in the order of
            the split. Only pictures that were added are evaluated.
        """
        labels = np.array(data.class_indices(data.split(split)))
        return evaluators.CollectedPredictions(
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
        """Computes the baseline that always predicts the commonest class.

        Args:
            described: data.json of the training data, with class counts.
            data: The pictures to evaluate on.
            split: Which of them.

        Returns:
            `majority_class` → its metrics; empty without training pictures
            (`--keep_classifier`).
        """
        counts = described["classes"]["train"]
        trained_on = [counts[name] for name in data.class_names]
        if not any(trained_on):
            return {}
        # One label per training picture, from the counts that are stored.
        found = classification_metrics.evaluate_majority_class(
            np.repeat(np.arange(len(trained_on)), trained_on),
            data.class_indices(data.split(split)),
            class_names=data.class_names,
        )
        return {"majority_class": found}

    def text(self, figures: Mapping[str, Any]) -> str:
        """Formats a table of splits, baselines and classes.

        Args:
            figures: Contents of evaluation.json.
        """
        return result_table.format_result(
            figures,
            key="per_class",
            baseline_names=_BASELINE_NAMES,
            name_width=_SPLIT_WIDTH,
            format_header=_format_header,
            format_row=_format_row,
            format_outputs=format_classes,
        )

    def draw(
        self,
        figures: Mapping[str, Any],
        names: Sequence[str],
        folder: pathlib.Path,
        split: str,
    ) -> None:
        """Draws the confusion matrix to `folder`/confusion_SPLIT.png.

        Args:
            figures: Metrics of the split, with `confusion_matrix`.
            names: Names of the classes.
            folder: Where the plot is written.
            split: Name of the split.
        """
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
    """Builds per-picture results for the comparison of two classifiers.

    Args:
        labels: [n] indices of the true classes.
        probabilities: [n, classes].

    Returns:
        Which pictures are classified correctly, the log loss of each, and
        accuracy as a function of bootstrap weights.
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
    """Builds the schema of the class counts in data.json.

    Args:
        names: Names of the classes.
    """
    count = json_schema.Number(0, 10**12, is_whole=True)
    counts = json_schema.Record(dict.fromkeys(names, count))
    return json_schema.Record(
        {"classes": json_schema.Record({"train": counts})}
    )


def format_classes(split: str, result: Mapping[str, Any]) -> str:
    """Formats a table of precision, recall and F1 of each class.

    Of more than 20 classes, only the worst and best by F1 are listed.

    Args:
        split: Name of the split, for the heading.
        result: Metrics of the split, as `compute_metrics` returns them.
    """
    lines = [
        f"{terminal_escapes.pad_name(split + ', by class', _NAME_WIDTH)}"
        f"{'precision':>11}{'recall':>11}{'f1':>11}{'pictures':>11}"
    ]
    lines += result_table.format_extremes(
        list(result["per_class"].items()),
        _format_class_row,
        by="f1",
        noun="classes",
    )
    for how in ("macro", "weighted"):
        average = {figure: result[f"{how}_{figure}"] for figure in _PER_CLASS}
        lines.append(_format_class_row(f"{how} average", average))
    return "\n".join(lines)


def _format_header(splits: Mapping[str, Any]) -> str:
    top = "   top 5" if _has_top(splits.values()) else ""
    return (
        f"{'':{_SPLIT_WIDTH}}pictures accuracy  95 % interval "
        f"log loss   ECE{top}"
    )


def _has_top(results: Any) -> bool:
    return any(each.get("top_5_accuracy") is not None for each in results)


def _format_row(name: str, result: Mapping[str, Any]) -> str:
    low, high = result["accuracy_interval"]
    ece = result.get("expected_calibration_error")
    line = (
        f"{terminal_escapes.pad_name(name, _SPLIT_WIDTH)}"
        f"{result.get('examples', ''):>8}"
        f"{result['accuracy']:>9.3f}"
        f"  {low:.3f} - {high:.3f}"
        f"{result_table.format_number(result.get('log_loss'), ''):>9}"
        f"{result_table.format_number(ece, ''):>6}"
    )
    top = result.get("top_5_accuracy")
    return line.rstrip() if top is None else f"{line}{top:>8.3f}"


def _format_class_row(name: str, row: Mapping[str, Any]) -> str:
    cells = "".join(
        f"{result_table.format_number(row[key]):>11}" for key in _PER_CLASS
    )
    line = f"{terminal_escapes.pad_name(name, _NAME_WIDTH)}{cells}"
    return f"{line}{row['support']:>11}" if "support" in row else line
