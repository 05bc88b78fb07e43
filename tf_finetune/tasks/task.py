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
    """The parts of a task: labels, loss, metrics, answers, exports, network.

    Attributes:
        name: As `--task` spells it.
        losses: Possible values of `--loss`, the default first.
        reads: Options that it reads though `used_by` beside them does not name
            it: those of a task of the user's own.
        labels: How labels are read, checked, divided and described.
        figures: Its metrics.
        answers: Its predictions of single pictures as a table.
        exports: Metadata of its exports, and checks of quantized ones.
        network_at: "package.module:attribute" of the part that needs
            TensorFlow, so that a task can be known without it.
        certainty_at: "package.module:attribute" of its calibration and
            out-of-distribution score (`certainty.Certainty`); empty where
            predictions have neither.
        refused_options: Options of exports that do not apply to the task: why,
            and what to do instead. Without `certainty_at`, `calibrate` and
            `out_of_distribution` are refused in any case.
        check_listed: Checks the config, the listed pictures and the names
            before TensorFlow starts, and raises `DataError` for data that
            cannot be trained on; None: the checks of labels are enough.
        decide: Makes a decision on validation that is kept with the model,
            thresholds for example: data, split and the predictions [n, …] of
            its first n pictures → a JSON-able decision. None: there is nothing
            to decide. The parts of a task with decisions have a method
            `with_decision`, which returns them as they are with one.
        decision: Made on validation; empty before.
        fit_to_data_at: "package.module:function" that makes of the task, the
            data and the config a task that knows the training data; empty: it
            needs
            to know nothing.
        relative_predictions: Whether predictions can be of any size, so that
            differences are divided by the largest of them.
        adds_losses: Whether `--loss` may be a sum, such as a+b.
        files_at: "package.module:attribute" of the writer of answers that are
            files (`answer_table.AnswerFiles`); empty where they are not.
            The answers of such a task have the size of each picture, and its
            network resizes the served ones to it
            (`contracts.PictureNetwork`).
        heads: Possible values of `--head`, beside heads of the user's own;
            "auto" is the first one.
        restore_figures: Evaluation.json of a finished run → figures that rank
            by the same figure as that run; None: they always rank alike.
        pseudo_labels: How unlabeled pictures get pseudo-labels; None where they
            cannot.
        build_data_schema: The names of the classes → schema of their part of
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
    files_at: str = ""
    heads: tuple[str, ...] = ("linear", "mlp")
    restore_figures: "Callable[..., contracts.Figures] | None" = None
    pseudo_labels: "pseudo_labels.Labeler | None" = None
    build_data_schema: Callable[[Sequence[str]], json_schema.Record] = (
        json_schema.describe_any
    )
    evaluation_schema: Mapping[str, json_schema.Kind] = dataclasses.field(
        default_factory=dict
    )

    def with_decision(self, decision: Mapping[str, Any]) -> "Task":
        """Returns the task with a decision made on validation."""
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
        """Returns the task with the decision of a finished run.

        Args:
            evaluation: Contents of the run's evaluation.json.
        """
        found = self.with_decision(evaluation.get("decision", {}))
        if self.restore_figures is None:
            return found
        return dataclasses.replace(
            found, figures=self.restore_figures(evaluation)
        )

    def check_loss(self, name: str) -> None:
        """Raises `UsageError` unless `--loss` can be `name`."""
        known = ("auto", *self.losses)
        parts = name.split("+") if self.adds_losses else [name]
        for part in parts:
            # "auto" is a choice by itself, not a term of a sum.
            if part not in known or (part == "auto" and len(parts) > 1):
                raise errors.make_unknown_error(
                    f"--loss of --task={self.name}", part, known
                )

    def split_loss(self, name: str) -> tuple[str, ...]:
        """Returns the terms of the sum that `--loss` names; mostly one."""
        if name == "auto":
            return self.losses[:1]
        # Elsewhere a "+" is part of the name, which the check refuses.
        return tuple(name.split("+")) if self.adds_losses else (name,)

    def head(self, name: str) -> str:
        """Returns the name of the head for a value of `--head`.

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
        """The network part of the task; imports TensorFlow."""
        # Imported at the first use, since this starts TensorFlow.
        found = _import_attribute(self.network_at)
        return found.with_decision(self.decision) if self.decision else found

    @functools.cached_property
    def certainty(self) -> "certainty.Certainty | None":
        """Calibration and out-of-distribution score; imports TensorFlow."""
        return (
            _import_attribute(self.certainty_at) if self.certainty_at else None
        )

    def fit_to_data(
        self, data: examples.ImageData, config: train_config.TrainConfig
    ) -> "Task":
        """Returns the task fitted to its training data; mostly itself."""
        if not self.fit_to_data_at:
            return self
        return _import_attribute(self.fit_to_data_at)(self, data, config)

    @functools.cached_property
    def files(self) -> "type[answer_table.AnswerFiles] | None":
        """The writer of answers that are files; None if answers are not."""
        return _import_attribute(self.files_at) if self.files_at else None


def _import_attribute(place: str) -> Any:
    module, attribute = place.split(":")
    return getattr(importlib.import_module(module), attribute)
