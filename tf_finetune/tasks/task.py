"""Task: its labels, loss, metrics, answers and exports in one object."""

import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_finetune import errors
from tf_finetune.config import train_config
from tf_finetune.data import examples, label_protocol
from tf_finetune.workdir import json_schema

if TYPE_CHECKING:
    from tf_finetune.tasks import (
        answer_table,
        certainty,
        contracts,
        pseudo_labels,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """The components of a task: labels, metrics, predictions, exports, network.

    Attributes:
        name: Value of `--task`.
        losses: Possible values of `--loss`, the default first.
        labels: How labels are read, checked, divided and described.
        figures: Its metrics: computed, ranked, printed and plotted.
        answers: Table of its predictions of single pictures.
        exports: Metadata of its exports, and checks of quantized ones.
        network_at: "package.module:attribute" of the component that needs
            TensorFlow, so that a task can be known without it.
        reads: Options that it reads though `used_by` beside them does not name
            it: those of a task of the user's own.
        certainty_at: "package.module:attribute" of its calibration and
            out-of-distribution score (`certainty.Certainty`); empty where
            predictions have neither.
        refused_options: By option of exports that does not apply to the task:
            why, and what to do instead. Without `certainty_at`, `calibrate` and
            `out_of_distribution` are refused in any case.
        check_listed: Checks the config, the listed pictures and the names
            before TensorFlow starts, and raises `DataError` for data that
            cannot be trained on; None: the checks of labels are enough.
        decide: Chooses a decision, values such as thresholds that are stored
            with the model: data, split and the predictions [n, …] of its first
            n pictures → a JSON-able dict. None: there is nothing to choose.
            Figures, answers, exports and network of a task with decisions have
            a method `with_decision`, which returns a copy that uses one.
        decision: Chosen on validation; empty before.
        fit_to_data_at: "package.module:function" that returns a task fitted to
            the training data, from task, data and config; empty: none needed.
        relative_predictions: Whether predictions can be of any size, so that
            differences are divided by the largest of them.
        adds_losses: Whether `--loss` may be a sum, such as a+b.
        compares_log_loss: Whether figures have "log_loss" and "accuracy", by
            which the trials of a recipe are compared; False: it makes none.
        files_at: "package.module:attribute" of the writer of predictions that
            are files (`answer_table.AnswerFiles`); empty where they are not.
            The predictions of such a task have the size of each picture, and
            its network resizes the served ones to it
            (`contracts.PictureNetwork`).
        heads: Possible values of `--head`, beside heads of the user's own;
            "auto" is the first one.
        restore_figures: Contents of a run's evaluation.json → figures that rank
            by the same metric as that run; None: they always rank alike.
        distill: Possible values of `--distill`, beside "auto"; empty where
            no teacher can be learned from.
        pseudo_labels: How unlabeled pictures get pseudo-labels; None where they
            cannot.
        build_data_schema: Names of the classes → schema of their entries in
            data.json, which is checked when it is read back.
        evaluation_schema: Schema of the entries of evaluation.json that are
            read back.
    """

    name: str
    losses: tuple[str, ...]
    labels: label_protocol.Labels
    figures: "contracts.Figures"
    answers: "answer_table.AnswerTable"
    exports: "contracts.Exports"
    network_at: str
    reads: tuple[str, ...] = ()
    certainty_at: str = ""
    refused_options: Mapping[str, str] = dataclasses.field(default_factory=dict)
    check_listed: (
        Callable[
            [
                train_config.TrainConfig,
                Sequence[examples.Picture],
                Sequence[str],
            ],
            None,
        ]
        | None
    ) = None
    decide: (
        Callable[[examples.ImageData, str, np.ndarray], dict[str, Any]] | None
    ) = None
    decision: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fit_to_data_at: str = ""
    relative_predictions: bool = False
    adds_losses: bool = False
    compares_log_loss: bool = False
    files_at: str = ""
    heads: tuple[str, ...] = ("linear", "mlp")
    restore_figures: "Callable[..., contracts.Figures] | None" = None
    distill: tuple[str, ...] = ()
    pseudo_labels: "pseudo_labels.Labeler | None" = None
    build_data_schema: Callable[[Sequence[str]], json_schema.Record] = (
        json_schema.describe_any
    )
    evaluation_schema: Mapping[str, json_schema.Kind] = dataclasses.field(
        default_factory=dict
    )

    def with_decision(self, decision: Mapping[str, Any]) -> "Task":
        """Returns a copy of the task that uses a decision.

        Args:
            decision: Values chosen on validation by `decide`, such as
                thresholds; empty: the task itself is returned.
        """
        if not decision:
            return self
        return dataclasses.replace(
            self,
            figures=self.figures.with_decision(decision),
            answers=self.answers.with_decision(decision),
            exports=self.exports.with_decision(decision),
            decision=decision,
        )

    def with_evaluation(self, evaluation: Mapping[str, Any]) -> "Task":
        """Returns a copy of the task with decision and ranking of a run.

        Args:
            evaluation: Contents of the finished run's evaluation.json.
        """
        found = self.with_decision(evaluation.get("decision", {}))
        if self.restore_figures is None:
            return found
        return dataclasses.replace(
            found, figures=self.restore_figures(evaluation)
        )

    def choose_labels(
        self, config: train_config.TrainConfig
    ) -> label_protocol.Labels:
        """Returns the labels by which pictures of a training run are read.

        With `--classes=keep` they know the classes of the earlier run.

        Args:
            config: All options of the run, checked.
        """
        if config.model.classes != "keep":
            return self.labels
        # Only for such classes.
        from tf_finetune.tasks.classification import kept_labels

        return kept_labels.add_earlier_classes(config, self.labels)

    def restore_labels(
        self, config: train_config.TrainConfig, described: Mapping[str, Any]
    ) -> label_protocol.Labels:
        """Returns the labels by which a finished run reads its own pictures.

        With `--classes=keep` they know the classes without pictures from the
        run itself: the earlier run may be gone.

        Args:
            config: All options of the run.
            described: The content of its data.json.
        """
        if config.model.classes != "keep":
            return self.labels
        from tf_finetune.tasks.classification import kept_labels

        return kept_labels.restore_classes(self.labels, described)

    def check_loss(self, name: str) -> None:
        """Raises `UsageError` unless `name` is a possible `--loss` value."""
        known = ("auto", *self.losses)
        parts = name.split("+") if self.adds_losses else [name]
        for part in parts:
            # "auto" is a choice by itself, not a term of a sum.
            if part not in known or (part == "auto" and len(parts) > 1):
                raise errors.make_unknown_error(
                    f"--loss of --task={self.name}", part, known
                )

    def split_loss(self, name: str) -> tuple[str, ...]:
        """Splits a value of `--loss` into the names of its terms.

        Args:
            name: Such as "dice+focal", which is split only if `adds_losses`;
                "auto" stands for the default loss. It is not checked.
        """
        if name == "auto":
            return self.losses[:1]
        # Elsewhere a "+" is part of the name, which the check refuses.
        return tuple(name.split("+")) if self.adds_losses else (name,)

    def head(self, name: str) -> str:
        """Resolves a value of `--head` to the name of a head.

        Args:
            name: One of `heads`, "auto" for the first of them, or
                "package.module:attribute" of a head of the user's own, which is
                returned as it is.

        Raises:
            UsageError: The task has no such head.
        """
        if name == "auto":
            return self.heads[0]
        # "package.module:attribute" is a head of the user's own.
        if name not in self.heads and ":" not in name:
            raise errors.UsageError(
                f"--head={name} does not work with --task={self.name}; "
                f"possible: {', '.join(self.heads)}."
            )
        return name

    @functools.cached_property
    def network(self) -> "contracts.Network":
        """Output layers, loss and metrics; first access loads TensorFlow."""
        # Imported at the first use, since this starts TensorFlow.
        found = _import_attribute(self.network_at)
        return found.with_decision(self.decision) if self.decision else found

    @functools.cached_property
    def certainty(self) -> "certainty.Certainty | None":
        """Calibration and out-of-distribution score; None if it has none.

        The first access loads TensorFlow.
        """
        return (
            _import_attribute(self.certainty_at) if self.certainty_at else None
        )

    def fit_to_data(
        self, data: examples.ImageData, config: train_config.TrainConfig
    ) -> "Task":
        """Returns the task fitted to training data, such as scales of targets.

        Args:
            data: The pictures of all splits.
            config: Options of the run.

        Returns:
            A new task; the same one where nothing is fitted.
        """
        if not self.fit_to_data_at:
            return self
        return _import_attribute(self.fit_to_data_at)(self, data, config)

    @functools.cached_property
    def files(self) -> "type[answer_table.AnswerFiles] | None":
        """Class that writes predictions as files; None where they are not."""
        return _import_attribute(self.files_at) if self.files_at else None


def _import_attribute(place: str) -> Any:
    module, attribute = place.split(":")
    return getattr(importlib.import_module(module), attribute)
