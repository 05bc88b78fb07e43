"""Protocols of the parts of a task: figures, exports, network."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tf_finetune.config import model_options, train_config, training_options
from tf_finetune.data import examples
from tf_finetune.tasks import evaluators, quantization_checks

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    SignatureFunction = Callable[
        [Mapping[str, tf.Tensor], tf.Tensor, model_options.Resize],
        dict[str, tf.Tensor],
    ]


class Figures(Protocol):
    """Metrics of a task: how they are computed, ranked, printed and plotted.

    Attributes:
        higher_is_better: Figures that `--fail_below` knows.
        lower_is_better: Figures of which less is better.
        unbounded: Figures of both kinds that may exceed 1.
    """

    higher_is_better: tuple[str, ...]
    lower_is_better: tuple[str, ...]
    unbounded: tuple[str, ...]

    def rank_epoch(self, epoch: Mapping[str, float]) -> tuple[float, ...]:
        """Returns the key that epochs are sorted by; greater is better."""

    def merit(self, figures: Mapping[str, Any]) -> tuple[float, ...]:
        """Returns the key that results are sorted by; greater is better."""

    def format_brief(self, figures: Mapping[str, Any]) -> str:
        """Returns a one-line summary of the result, for the log."""

    def describe_difference(
        self, figures: Mapping[str, Any], other: Mapping[str, Any]
    ) -> str:
        """Describes the difference of two results and its confidence interval.

        Empty if no interval is known.
        """

    def summary(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the main figures, those that baselines are given with."""

    def judge(
        self, data: examples.ImageData, split: str, *, seed: int
    ) -> evaluators.Evaluator:
        """Returns an accumulator that evaluates predictions of a split."""

    def compute_baselines(
        self,
        described: Mapping[str, Any],
        data: examples.ImageData,
        split: str,
    ) -> dict[str, Any]:
        """Computes trivial baselines: answers that ignore the picture.

        Args:
            described: `Labels.describe` of the data that was trained on.
            data: The pictures.
            split: Which of them are evaluated.

        Returns:
            By name of the baseline, figures as of `summary`.
        """

    def text(self, figures: Mapping[str, Any]) -> str:
        """Formats the result for printing.

        Args:
            figures: As evaluation.json holds them: by split, each with its
                `baselines`, beside entries of other kinds.
        """

    def draw(
        self,
        figures: Mapping[str, Any],
        names: Sequence[str],
        folder: pathlib.Path,
        split: str,
    ) -> None:
        """Draws the plots of a split into a folder."""


class Exports(Protocol):
    """Metadata of exported files, and checks of quantized ones.

    Attributes:
        losses: Figures whose drop is bounded; the check of "accuracy" is
            called "accuracy_loss".
        output: Name of the output that holds the predictions.
        meaning: Describes that output in a sentence or two; the labels stand
            beside it.
    """

    losses: tuple[str, ...]
    output: str
    meaning: str

    def load_truth(
        self,
        data: examples.ImageData,
        pictures: Sequence[examples.Picture],
        shape: Sequence[int],
    ) -> np.ndarray:
        """Returns the true labels of pictures as an array.

        Args:
            data: The data set.
            pictures: n pictures of it.
            shape: Of the predictions for all of them, [n, …].

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
    ) -> quantization_checks.CheckResult:
        """Compares predictions of a quantized export with the evaluation's.

        Args:
            expected: [pictures, …, outputs], float64.
            got: The same of the export, finite.
            truth: As of `load_truth`; None: not known.
            names: Of the outputs.
            unit: Differences are divided by it; one for all or [outputs].
        """


class Network(Protocol):
    """Network part of a task: activation, loss, metrics, serving outputs.

    Loads TensorFlow.

    Attributes:
        solver: How a linear head is solved to its optimum; a name in
            `head_problem.SOLVERS`, or "steps" where there is no such way.
        parity_outputs: The outputs of `serve` that are the predictions
            themselves; exports are compared by them.
        text_outputs: String outputs joined from others, which LiteRT cannot
            compute.
        max_parity_pictures: Largest number of pictures whose predictions
            exports are compared on.
    """

    solver: str
    parity_outputs: tuple[str, ...]
    text_outputs: tuple[str, ...]
    max_parity_pictures: int

    def num_outputs(self, names: Sequence[str]) -> int:
        """Returns the number of logits."""

    def predictions(self, logits: "keras.KerasTensor") -> "keras.KerasTensor":
        """Adds the output layers: logits [batch, …, outputs] → predictions."""

    def find_logits(self, model: "keras.Model") -> "keras.KerasTensor":
        """Finds the logits in a model's graph."""

    def finish(self, logits: np.ndarray) -> np.ndarray:
        """Computes predictions of an array of logits, as the model does."""

    def targets(
        self,
        data: examples.ImageData,
        split: str,
        *,
        config: train_config.TrainConfig,
        image_size: int,
    ) -> "targets.Targets":
        """Returns the training targets of a split, in the loss' form."""

    def build_blank_targets(
        self, names: Sequence[str], count: int, *, image_size: int
    ) -> "targets.Targets":
        """Returns placeholder targets of `count` pictures, to try a step."""

    def loss(
        self,
        options: training_options.TrainingOptions,
        names: Sequence[str],
        described: Mapping[str, Any] | None,
    ) -> "keras.losses.Loss":
        """Builds the loss, a function of targets and logits.

        Args:
            options: `loss`, its settings, and `class_weight`.
            names: Of the outputs.
            described: `Labels.describe` of the data, which class weights are
                computed from; None: equal weights.
        """

    def metrics(self, names: Sequence[str]) -> "list[keras.metrics.Metric]":
        """Builds the metrics of targets and logits that `fit` reports."""

    def serve(
        self, predictions: "tf.Tensor", names: Sequence[str]
    ) -> "dict[str, tf.Tensor]":
        """Returns the outputs of an exported model by name, [batch, …] each."""

    def classify(
        self, predictions: "tf.Tensor", names: Sequence[str]
    ) -> "dict[str, tf.Tensor]":
        """Returns the outputs of TensorFlow Serving's Classify or Regress.

        `classes` and `scores`, both [batch, classes]; or `outputs`,
        [batch, 1]; or nothing.
        """


class PictureNetwork(Network, Protocol):
    """Network whose answers have the size of each picture.

    Attributes:
        signature_functions: By signature, among them `serving_default`, the
            function that makes the answers to encoded pictures. Its
            arguments: outputs of `serve`; sizes of the upright pictures, int32
            [batch, 2]; how they became square.
    """

    signature_functions: "Mapping[str, SignatureFunction]"

    def check_signatures(
        self,
        answers: Mapping[str, Mapping[str, np.ndarray]],
        predictions: np.ndarray,
        sizes: np.ndarray,
        *,
        resize: model_options.Resize,
        allowed: float,
    ) -> dict[str, dict[str, float]]:
        """Compares an export's answers with the evaluation's predictions.

        Args:
            answers: By signature of `signature_functions`, its outputs by name.
            predictions: [pictures, …], of the evaluation.
            sizes: int [pictures, 2], heights and widths.
            resize: How the pictures became square.
            allowed: By how much a prediction may differ.

        Returns:
            By signature, figures for the record.

        Raises:
            RunError: They differ by more.
        """
