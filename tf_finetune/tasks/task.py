"""A task: everything that changes with what is learnt."""

import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune import errors, schema
from tf_finetune.config import train
from tf_finetune.data import examples, labelling
from tf_finetune.tasks import certainty as certainties
from tf_finetune.tasks import contracts, guessing, picture_contracts

# Options that not every task reads; the others are for all of them.
BOUND = (
    "categorical_columns",
    "class_weight",
    "color_map",
    "ignore_label",
    "label_separator",
    "label_smoothing",
    "missing_label",
    "numeric_columns",
    "target_range",
    "target_transform",
    "top_k",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """Everything that changes with what is learnt.

    Attributes:
        name: As `--task` spells it.
        losses: What `--loss` may be, the default first.
        unsmoothed: Those of them that `--label_smoothing` says nothing to.
        reads: Which options of `BOUND` it reads.
        labels: How labels are read, checked, divided and described.
        figures: What is measured.
        answers: What is said of single pictures.
        exports: What is said in files of a model, and when those in few bits
            are right.
        network_at: "package.module:attribute" of the part that needs
            TensorFlow, so that a task can be known without it.
        certainty_at: "package.module:attribute" of how sure the network is
            (`certainties.Certainty`); empty where predictions are none that one
            could be sure of.
        refused: Options of exports, and why they say nothing to the task and
            what to do instead. Without `certainty_at`, `calibrate` and
            `out_of_distribution` are refused in any case.
        check_listed: Looks at the config, the listed pictures and the names
            before TensorFlow starts, and raises `DataError` for what cannot
            be learnt from; None: labels say all that there is to say.
        decide: What is settled on validation once a model is known and kept
            with it, thresholds for example: data, split and the predictions
            [n, …] of its first n pictures → a JSON-able decision. None: there
            is nothing to decide. The parts of a task with decisions have a
            method `decided`, which returns them as they are with one.
        decision: What was decided; empty before.
        adapted_at: "package.module:function" of what makes of the task, the
            data and the config a task that knows the training data; empty:
            it needs to know nothing.
        relative_predictions: Whether predictions can be of any size, so that
            differences count beside the largest of them.
        adds_losses: Whether `--loss` may be a sum, such as a+b.
        files_at: "package.module:attribute" of what writes answers that are
            files of their own (`picture_contracts.AnswerFiles`); empty where
            they are not. The answers of such a task belong to the pictures' own
            sizes, and its network brings what is served to them
            (`picture_contracts.PictureNetwork`).
        heads: What `--head` may be, beside heads of the user's own; the first
            one is meant by "auto".
        judged_as: Evaluation.json of a finished run → figures that judge by
            what judged it; None: they always judge alike.
        guesses: How labels of other pictures are guessed; None where they
            cannot be.
        described: The names of the classes → what data.json holds of them,
            which is checked when it is read back.
        evaluated: What evaluation.json holds that is read back, likewise.
    """

    name: str
    losses: tuple[str, ...]
    labels: labelling.Labels
    figures: contracts.Figures
    answers: contracts.Answers
    exports: contracts.Exports
    network_at: str
    unsmoothed: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    certainty_at: str = ""
    refused: Mapping[str, str] = dataclasses.field(default_factory=dict)
    check_listed: (
        Callable[
            [train.TrainConfig, Sequence[examples.Picture], Sequence[str]],
            None,
        ]
        | None
    ) = None
    decide: (
        Callable[[examples.ImageData, str, np.ndarray], dict[str, Any]] | None
    ) = None
    decision: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    adapted_at: str = ""
    relative_predictions: bool = False
    adds_losses: bool = False
    files_at: str = ""
    heads: tuple[str, ...] = ("linear", "mlp")
    judged_as: Callable[[Mapping[str, Any]], contracts.Figures] | None = None
    guesses: guessing.Guesses | guessing.MapGuesses | None = None
    described: Callable[[Sequence[str]], schema.Record] = schema.describe_any
    evaluated: Mapping[str, schema.Kind] = dataclasses.field(
        default_factory=dict
    )

    def decided(self, decision: Mapping[str, Any]) -> "Task":
        """Returns the task as it is once something was decided."""
        if not decision:
            return self
        return dataclasses.replace(
            self,
            figures=self.figures.decided(decision),
            answers=self.answers.decided(decision),
            exports=self.exports.decided(decision),
            decision=decision,
        )

    def finished(self, evaluation: Mapping[str, Any]) -> "Task":
        """Returns the task as a finished run leaves it.

        Args:
            evaluation: What evaluation.json of the run holds.
        """
        found = self.decided(evaluation.get("decision", {}))
        if self.judged_as is None:
            return found
        return dataclasses.replace(found, figures=self.judged_as(evaluation))

    def check_loss(self, name: str) -> None:
        """Raises `UsageError` unless `--loss` can be `name`."""
        known = ("auto", *self.losses)
        parts = name.split("+") if self.adds_losses else [name]
        for part in parts:
            if part not in known or (part == "auto" and len(parts) > 1):
                raise errors.unknown(
                    f"--loss of --task={self.name}", part, known
                )

    def losses_of(self, name: str) -> tuple[str, ...]:
        """Returns the losses that `--loss` adds up; mostly one."""
        if name == "auto":
            return self.losses[:1]
        return tuple(name.split("+")) if self.adds_losses else (name,)

    def head(self, name: str) -> str:
        """Returns the head that `--head` means.

        Raises:
            UsageError: It cannot be `name`.
        """
        if name == "auto":
            return self.heads[0]
        if name not in self.heads and ":" not in name:
            raise errors.UsageError(
                f"--head={name} is not for --task={self.name}; possible: "
                f"{', '.join(self.heads)}."
            )
        return name

    @functools.cached_property
    def network(self) -> contracts.Network:
        """The part that needs TensorFlow."""
        found = _imported(self.network_at)
        return found.decided(self.decision) if self.decision else found

    @functools.cached_property
    def certainty(self) -> certainties.Certainty | None:
        """How sure the network is; needs TensorFlow."""
        return _imported(self.certainty_at) if self.certainty_at else None

    def adapted(
        self, data: examples.ImageData, config: train.TrainConfig
    ) -> "Task":
        """Returns the task once its data is known; mostly itself."""
        if not self.adapted_at:
            return self
        return _imported(self.adapted_at)(self, data, config)

    @functools.cached_property
    def files(self) -> type[picture_contracts.AnswerFiles] | None:
        """What writes answers that are files of their own, if they are."""
        return _imported(self.files_at) if self.files_at else None


def _imported(place: str) -> Any:
    module, attribute = place.split(":")
    return getattr(importlib.import_module(module), attribute)
