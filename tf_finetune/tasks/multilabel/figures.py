"""Metrics of a multi-label model, and how they rank, print and plot."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tf_finetune import terminal_escapes
from tf_finetune.data import examples
from tf_finetune.metrics import (
    candidate_selection,
    evaluators,
    multilabel_metrics,
    ranking_metrics,
)
from tf_finetune.tasks import result_table
from tf_finetune.tasks.multilabel import label_counts, label_thresholds
from tf_finetune.workdir import json_schema

_AVERAGED = ("average_precision", "f1", "precision", "recall", "roc_auc")
_SPLIT_WIDTH, _NAME_WIDTH = 24, 22
_BASELINE_NAMES = {"label_shares": "label shares"}
_PER_LABEL = (
    ("AP", 7, "average_precision"),
    ("ROC AUC", 9, "roc_auc"),
    ("precision", 10, "precision"),
    ("recall", 8, "recall"),
    ("f1", 7, "f1"),
    ("from", 7, "threshold"),
)


@dataclasses.dataclass(frozen=True)
class Figures:
    """Metrics of a multi-label model; ranks by macro average precision.

    Attributes:
        decision: `thresholds` by label, as `choose_thresholds` returns
            them; empty: 0.5 for all.
    """

    decision: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    higher_is_better: ClassVar[tuple[str, ...]] = (
        "exact_match",
        *(f"{how}_{what}" for how in ("macro", "micro") for what in _AVERAGED),
    )
    lower_is_better: ClassVar[tuple[str, ...]] = ("hamming_loss", "log_loss")
    unbounded: ClassVar[tuple[str, ...]] = ("log_loss",)

    def with_decision(self, decision: Mapping[str, Any]) -> "Figures":
        """Returns new figures of labels predicted at these thresholds."""
        return Figures(decision)

    def rank_epoch(self, epoch: Mapping[str, float]) -> tuple[float, ...]:
        """Returns the key (val_average_precision, -val_loss) of epoch logs."""
        return (epoch["val_average_precision"], -epoch["val_loss"])

    def merit(self, figures: Mapping[str, Any]) -> tuple[float, ...]:
        """Returns the key (macro average precision, -log loss) of a split."""
        leading = figures["macro_average_precision"]
        # None where no picture carries a label.
        return (-math.inf if leading is None else leading, -figures["log_loss"])

    def format_brief(self, figures: Mapping[str, Any]) -> str:
        """Formats macro average precision and log loss in a few words."""
        leading = figures["macro_average_precision"]
        shown = "undefined" if leading is None else f"{leading:.3f}"
        return f"mAP {shown} (log loss {figures['log_loss']:.3f})"

    def describe_difference(
        self, figures: Mapping[str, Any], other: Mapping[str, Any]
    ) -> str:
        """Formats the 95 % intervals of macro average precision of two results.

        Returns:
            A clause without a period; empty if one result has no interval.
        """
        # No interval of the difference is known from two results alone.
        intervals = [
            each["macro_average_precision_interval"]
            for each in (figures, other)
        ]
        if None in intervals:
            return ""
        mine, its = (f"{low:.4f} to {high:.4f}" for low, high in intervals)
        return f"the 95 % intervals of mAP are {mine} and {its}"

    def summary(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Selects macro average precision, its interval and log loss."""
        # Baselines are printed and compared by these figures alone.
        names = (
            "macro_average_precision",
            "macro_average_precision_interval",
            "log_loss",
        )
        return {name: figures[name] for name in names}

    def create_evaluator(
        self, data: examples.ImageData, split: str, *, seed: int
    ) -> evaluators.CollectedPredictions:
        """Creates an accumulator of [batch, labels] probabilities.

        They come in the order of the split; only pictures that were added are
        evaluated. `seed` is that of the bootstrap.
        """
        truth = label_counts.build_matrix(data.split(split), data.class_names)
        bounds = label_thresholds.read_thresholds(
            self.decision, data.class_names
        )
        return evaluators.CollectedPredictions(
            lambda predictions: multilabel_metrics.compute_metrics(
                truth[: len(predictions)],
                predictions,
                thresholds=bounds,
                names=data.class_names,
                seed=seed,
            ),
            lambda predictions: build_evidence(truth, predictions),
        )

    def compute_baselines(
        self,
        described: Mapping[str, Any],
        data: examples.ImageData,
        split: str,
    ) -> dict[str, Any]:
        """Computes the baseline of predicting each label's training share.

        `described` is data.json of the training data, with label counts.
        Returns `label_shares` → metrics as `summary` returns them.
        """
        carried = described["labels"]["train"]
        shares = np.array([carried[name] for name in data.class_names])
        truth = label_counts.build_matrix(data.split(split), data.class_names)
        found = multilabel_metrics.compute_metrics(
            truth,
            # Every picture gets each label's share of the training pictures.
            np.tile(
                shares / label_counts.count_split(described, "train"),
                [len(truth), 1],
            ),
            thresholds=np.full(len(shares), label_thresholds.DEFAULT),
            names=data.class_names,
            seed=0,
        )
        return {"label_shares": self.summary(found)}

    def text(self, figures: Mapping[str, Any]) -> str:
        """Formats evaluation.json as a table of splits, baselines, labels."""
        return result_table.format_result(
            figures,
            key="per_label",
            baseline_names=_BASELINE_NAMES,
            name_width=_SPLIT_WIDTH,
            format_header=_format_header,
            format_row=_format_split,
            format_outputs=format_labels,
        )

    def draw(
        self,
        figures: Mapping[str, Any],
        names: Sequence[str],
        folder: pathlib.Path,
        split: str,
    ) -> None:
        """Draws average precision and F1 of each label as PNG.

        Args:
            figures: Metrics of the split, with `per_label`.
            names: Not used.
            folder: Where labels_SPLIT.png is written.
            split: Name of the split.
        """
        # Takes a while to load, and not every command draws.
        from tf_finetune.drawing import output_plots

        output_plots.draw_labels(figures, folder / f"labels_{split}.png")


def build_evidence(
    truth: np.ndarray, probabilities: np.ndarray
) -> candidate_selection.Evidence:
    """Builds per-picture results for the comparison of two models.

    Args:
        truth: [n, labels] booleans.
        probabilities: [n, labels].

    Returns:
        Log losses of pictures, and macro average precision as a function of
        bootstrap weights.
    """
    return candidate_selection.Evidence(
        figure="mAP",
        value=ranking_metrics.build_macro_function(truth, probabilities),
        losses=multilabel_metrics.log_losses(truth, probabilities),
        size=truth.size,
    )


def choose_thresholds(
    data: examples.ImageData, split: str, predictions: np.ndarray
) -> dict[str, Any]:
    """Chooses the threshold of each label on predictions of a split.

    Args:
        data: The pictures.
        split: The split that was predicted, usually validation.
        predictions: [n, labels] probabilities of its first n pictures.

    Returns:
        `{"thresholds": {label: threshold in 0..1}}`.
    """
    pictures = data.split(split)[: len(predictions)]
    truth = label_counts.build_matrix(pictures, data.class_names)
    return label_thresholds.make_decision(truth, predictions, data.class_names)


def build_data_schema(names: Sequence[str]) -> json_schema.Record:
    """Builds the schema of the label counts in data.json."""
    count = json_schema.Number(0, 10**12, is_whole=True)
    carried = json_schema.Record(dict.fromkeys(names, count))
    total = json_schema.Record({"train": count})
    return json_schema.Record(
        {
            "labels": json_schema.Record({"train": carried}),
            "with_labels": total,
            "without_labels": total,
        }
    )


def format_labels(split: str, result: Mapping[str, Any]) -> str:
    """Formats a table of average precision and F1 of each label.

    Of more than 20 labels, only the worst and best are listed.

    Args:
        split: Name of the split, for the heading.
        result: Metrics of the split, with `per_label` and the averages.
    """
    heading = "".join(f"{title:>{width}}" for title, width, _ in _PER_LABEL)
    title = terminal_escapes.pad_name(f"{split}, by label", _NAME_WIDTH)
    lines = [f"{title}{heading}{'pictures':>9}"]
    lines += result_table.format_extremes(
        list(result["per_label"].items()),
        _format_label,
        by="average_precision",
        noun="labels",
    )
    for how in ("macro", "micro"):
        average = {key: result.get(f"{how}_{key}") for _, _, key in _PER_LABEL}
        lines.append(_format_label(f"{how} average", average))
    match, hamming = (
        result_table.format_number(result[key])
        for key in ("exact_match", "hamming_loss")
    )
    lines.append(f"exact match {match}, Hamming loss {hamming}")
    return "\n".join(lines)


def _format_header(splits: Mapping[str, Any]) -> str:
    del splits
    return (
        f"{'':{_SPLIT_WIDTH}}pictures   mAP  95 % interval macro F1 micro F1"
        " log loss"
    )


def _format_split(name: str, result: Mapping[str, Any]) -> str:
    interval = result.get("macro_average_precision_interval")
    low, high = map(result_table.format_number, interval or (None, None))
    mean, macro, micro, loss = (
        result_table.format_number(result.get(key))
        for key in (
            "macro_average_precision",
            "macro_f1",
            "micro_f1",
            "log_loss",
        )
    )
    return (
        f"{terminal_escapes.pad_name(name, _SPLIT_WIDTH)}"
        f"{result.get('examples', ''):>8}{mean:>6}{low:>7} - {high:<5}"
        f"{macro:>9}{micro:>9}{loss:>9}"
    ).rstrip()


def _format_label(name: str, row: Mapping[str, Any]) -> str:
    cells = "".join(
        f"{result_table.format_number(row[key]):>{width}}"
        for _, width, key in _PER_LABEL
    )
    line = f"{terminal_escapes.pad_name(name, _NAME_WIDTH)}{cells}"
    return f"{line}{row['support']:>9}" if "support" in row else line.rstrip()
