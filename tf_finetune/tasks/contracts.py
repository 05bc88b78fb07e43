"""What the parts of a task are asked for, whatever the task."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tf_finetune.config import (
    train,
    training_options,
)
from tf_finetune.data import examples
from tf_finetune.evaluation import choices
from tf_finetune.tasks import verdicts

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from tf_finetune.data import targets


class Judge(Protocol):
    """Compares predictions with the truth as they come."""

    def add(self, predictions: np.ndarray) -> None:
        """Takes the predictions of the next pictures of the split."""

    def figures(self) -> dict[str, Any]:
        """Returns the figures of all that was added, ready for JSON."""

    def evidence(self) -> choices.Evidence:
        """Returns what tells two models on the same pictures apart."""

    def draw(self, folder: pathlib.Path) -> None:
        """Draws single pictures that are worth seeing; may do nothing."""


class Figures(Protocol):
    """What a task measures, and how that ranks, prints and looks.

    Attributes:
        higher_is_better: Figures that `--fail_below` knows.
        lower_is_better: Those of which less is better.
        unbounded: Those of both that may exceed 1.
    """

    higher_is_better: tuple[str, ...]
    lower_is_better: tuple[str, ...]
    unbounded: tuple[str, ...]

    def rank(self, epoch: Mapping[str, float]) -> tuple[float, ...]:
        """Returns what orders epochs on validation; greater is better."""

    def merit(self, figures: Mapping[str, Any]) -> tuple[float, ...]:
        """Returns what orders results; greater is better."""

    def brief(self, figures: Mapping[str, Any]) -> str:
        """Returns the result in a few words, for the log."""

    def compared(
        self, figures: Mapping[str, Any], other: Mapping[str, Any]
    ) -> str:
        """Returns how sure a difference is, in words; may be empty."""

    def summary(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the figures that stand beside others."""

    def judge(
        self, data: examples.ImageData, split: str, *, seed: int
    ) -> Judge:
        """Returns what compares predictions of a split with its labels."""

    def trivial(
        self,
        described: Mapping[str, Any],
        data: examples.ImageData,
        split: str,
    ) -> dict[str, Any]:
        """Returns what answers reach that do not look at the picture.

        Args:
            described: What `Labels.describe` said of the data that was
                learnt from.
            data: The pictures.
            split: Which of them are evaluated.

        Returns:
            By name of the yardstick, figures as of `summary`.
        """

    def text(self, figures: Mapping[str, Any]) -> str:
        """Returns the printed result.

        Args:
            figures: As evaluation.json holds them: by split, each with its
                `yardsticks`, beside entries of other kinds.
        """

    def draw(
        self,
        figures: Mapping[str, Any],
        names: Sequence[str],
        folder: pathlib.Path,
        split: str,
    ) -> None:
        """Draws what is worth seeing of a split into a folder."""


class Answers(Protocol):
    """What a model says of single pictures, as a table.

    A row has the attributes `path` and `error`, which is empty where there is
    an answer.
    """

    def of(
        self,
        paths: Sequence[str],
        predictions: np.ndarray,
        names: Sequence[str],
        *,
        top_k: int = 5,
    ) -> list[Any]:
        """Returns a row for each picture."""

    def failed(self, path: str, reason: str) -> Any:
        """Returns the row of a file that is no usable picture."""

    def line(self, row: Any) -> str:
        """Returns a row as it is printed."""

    def write(
        self,
        path: pathlib.Path,
        rows: Sequence[Any],
        truths: Sequence[Any] | None = None,
    ) -> None:
        """Writes rows as CSV, atomically; last of all labels that are known."""

    def summarize(self, rows: Sequence[Any]) -> str:
        """Returns a few lines about all rows."""


class Exports(Protocol):
    """What files of a model say of it, and when one in few bits is right.

    Attributes:
        losses: Figures whose loss `judge` checks, as `accuracy_loss`.
        output: What an output is called that is the predictions.
        meaning: What it is, in a sentence or two; the labels stand beside it.
    """

    losses: tuple[str, ...]
    output: str
    meaning: str

    def truth(
        self,
        data: examples.ImageData,
        pictures: Sequence[examples.Picture],
        shape: Sequence[int],
    ) -> np.ndarray:
        """Returns what is true of pictures, kept for `judge`.

        Args:
            data: Which they are of.
            pictures: n of them.
            shape: Of what is predicted for all of them, [n, …].

        Returns:
            Numbers, [n, …].
        """

    def judge(
        self,
        expected: np.ndarray,
        got: np.ndarray,
        truth: np.ndarray | None,
        *,
        names: Sequence[str],
        unit: float | np.ndarray,
    ) -> verdicts.Verdict:
        """Compares what an export in few bits says with the evaluation.

        Args:
            expected: [pictures, …, outputs], float64.
            got: The same of the export, finite.
            truth: As of `truth`; None: not known.
            names: Of the outputs.
            unit: What differences count beside, one for all or [outputs].
        """


class Network(Protocol):
    """What a task needs of a network; loads TensorFlow.

    Attributes:
        solver: How a linear head is solved to its optimum; a name in
            `training.head.SOLVERS`, or "steps" where there is no such way.
        proven: The outputs of `serve` that are the predictions themselves.
        texts: Those joined of others in text, which LiteRT cannot do.
        num_proven: Pictures whose predictions prove exports, at most.
    """

    solver: str
    proven: tuple[str, ...]
    texts: tuple[str, ...]
    num_proven: int

    def num_outputs(self, names: Sequence[str]) -> int:
        """Returns the number of logits."""

    def predictions(self, logits: "keras.KerasTensor") -> "keras.KerasTensor":
        """Adds what turns logits [batch, …, outputs] into predictions."""

    def logits(self, model: "keras.Model") -> "keras.KerasTensor":
        """Returns what `predictions` was added to, in a model's graph."""

    def finish(self, logits: np.ndarray) -> np.ndarray:
        """Does to an array of logits what `predictions` does in the graph."""

    def targets(
        self,
        data: examples.ImageData,
        split: str,
        *,
        config: train.TrainConfig,
        image_size: int,
    ) -> "targets.Targets":
        """Returns what the loss compares the logits of a split with."""

    def blank(
        self, names: Sequence[str], count: int, *, image_size: int
    ) -> "targets.Targets":
        """Returns targets of `count` pictures that do not exist."""

    def loss(
        self,
        options: training_options.TrainingOptions,
        names: Sequence[str],
        described: Mapping[str, Any] | None,
    ) -> "keras.losses.Loss":
        """Returns the loss of logits.

        Args:
            options: `loss`, its settings, and `class_weight`.
            names: Of the outputs.
            described: What `Labels.describe` says of the data, which class
                weights come from; None: as if all were equal.
        """

    def metrics(self, names: Sequence[str]) -> "list[keras.metrics.Metric]":
        """Returns what `fit` reports of logits and targets."""

    def serve(
        self, predictions: "tf.Tensor", names: Sequence[str]
    ) -> "dict[str, tf.Tensor]":
        """Returns what an exported model answers, by name; [batch, …] each."""

    def classify(
        self, predictions: "tf.Tensor", names: Sequence[str]
    ) -> "dict[str, tf.Tensor]":
        """Returns what TensorFlow Serving's Classify or Regress answers.

        `classes` and `scores`, both [batch, classes]; or `outputs`, [batch,
        1]; or nothing.
        """
