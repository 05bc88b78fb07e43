"""Protocols of the parts of a task: figures, exports, network."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tf_finetune.config import picture_options, train_config, training_options
from tf_finetune.data import examples
from tf_finetune.metrics import evaluators
from tf_finetune.tasks import quantization_checks

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    SignatureFunction = Callable[
        [Mapping[str, tf.Tensor], tf.Tensor, picture_options.Resize],
        dict[str, tf.Tensor],
    ]


class Figures(Protocol):
    """Metrics of a task: how they are computed, ranked, printed and plotted.

    Attributes:
        higher_is_better: Names of metrics of which more is better, the
            values of `--fail_below`.
        lower_is_better: Names of metrics of which less is better.
        unbounded: Those of either kind that may exceed 1.
    """

    higher_is_better: tuple[str, ...]
    lower_is_better: tuple[str, ...]
    unbounded: tuple[str, ...]

    def rank_epoch(self, epoch: Mapping[str, float]) -> tuple[float, ...]:
        """Returns the sort key of an epoch's Keras logs; greater is better."""

    def merit(self, figures: Mapping[str, Any]) -> tuple[float, ...]:
        """Returns the sort key of a split's metrics; greater is better."""

    def format_brief(self, figures: Mapping[str, Any]) -> str:
        """Formats a split's main metrics on one line, for the log."""

    def describe_difference(
        self, figures: Mapping[str, Any], other: Mapping[str, Any]
    ) -> str:
        """Describes the difference of two results and its confidence interval.

        Args:
            figures: Metrics of a model on a split.
            other: Metrics of another model on the same split.

        Returns:
            A clause without a period; empty if no interval is known.
        """

    def summary(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Selects the main metrics of a split, such as accuracy."""

    def create_evaluator(
        self, data: examples.ImageData, split: str, *, seed: int
    ) -> evaluators.Evaluator:
        """Creates an accumulator that evaluates predictions of a split.

        `data` has the true labels of the pictures of "train", "validation" or
        "test" (`split`); `seed` is that of the bootstrap.
        """

    def compute_baselines(
        self,
        described: Mapping[str, Any],
        data: examples.ImageData,
        split: str,
    ) -> dict[str, Any]:
        """Computes trivial baselines: predictions that ignore the picture.

        Args:
            described: `Labels.describe` of the data that was trained on.
            data: The pictures.
            split: Which of them are evaluated.

        Returns:
            Name of the baseline → its main metrics, see `summary`.
        """

    def text(self, figures: Mapping[str, Any]) -> str:
        """Formats the result as a table for printing.

        Args:
            figures: Contents of evaluation.json: by split, metrics and
                their `baselines`, beside entries of other kinds.
        """

    def draw(
        self,
        figures: Mapping[str, Any],
        names: Sequence[str],
        folder: pathlib.Path,
        split: str,
    ) -> None:
        """Draws the plots of a split's metrics into a folder, as PNG.

        `names` are those of the outputs; `split` is part of file names.
        """


class Exports(Protocol):
    """Metadata of exported files, and checks of quantized ones.

    Attributes:
        losses: Metrics whose drop is bounded; the check of "accuracy" is
            called "accuracy_loss".
        output: Name of the output that holds the predictions.
        meaning: Description of that output in a sentence or two, for the
            metadata; the names of the outputs stand beside it.
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
            shape: Shape of the predictions for all of them, [n, …].

        Returns:
            Numbers, [n, …].
        """

    def check_quantized(
        self, compared: quantization_checks.Comparison
    ) -> quantization_checks.CheckResult:
        """Compares predictions of a quantized export with the evaluation's."""


class Network(Protocol):
    """Output layers, loss, metrics and serving outputs of a task.

    Loads TensorFlow.

    Attributes:
        solver: How a linear head is solved to its optimum; a name in
            `head_problem.SOLVERS`, or "steps": by gradient steps only.
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
        """Returns the number of logits for these names of outputs."""

    def predictions(self, logits: "keras.KerasTensor") -> "keras.KerasTensor":
        """Adds the output layers to logits [batch, …, outputs].

        Returns predictions of the same shape, float32.
        """

    def find_logits(self, model: "keras.Model") -> "keras.KerasTensor":
        """Finds the logits in the graph of a model that `predictions` ends."""

    def finish(self, logits: np.ndarray) -> np.ndarray:
        """Converts logits [n, …, outputs] to predictions, as the model does."""

    def targets(
        self,
        data: examples.ImageData,
        split: str,
        *,
        config: train_config.TrainConfig,
        image_size: int,
    ) -> "targets.Targets":
        """Returns the targets of a split, which `loss` compares with logits.

        Args:
            data: The pictures with their labels.
            split: "train", "validation" or "test".
            config: Options of the run.
            image_size: Side of the square input in pixels.
        """

    def build_blank_targets(
        self, names: Sequence[str], count: int, *, image_size: int
    ) -> "targets.Targets":
        """Returns placeholder targets, for trying a training step.

        `count` is the number of pictures, `image_size` their side in pixels.
        """

    def loss(
        self,
        options: training_options.TrainingOptions,
        names: Sequence[str],
        described: Mapping[str, Any] | None,
    ) -> "keras.losses.Loss":
        """Builds the Keras loss of targets and logits.

        Args:
            options: `loss`, its settings, and `class_weight`.
            names: Names of the outputs.
            described: `Labels.describe` of the data, which class weights are
                computed from; None: equal weights.
        """

    def metrics(self, names: Sequence[str]) -> "list[keras.metrics.Metric]":
        """Builds the Keras metrics of targets and logits that `fit` reports."""

    def serve(
        self, predictions: "tf.Tensor", names: Sequence[str]
    ) -> "dict[str, tf.Tensor]":
        """Builds the outputs of an exported model.

        Args:
            predictions: [batch, …, outputs].
            names: Names of the outputs.

        Returns:
            Tensors by name of the output, [batch, …] each.
        """

    def classify(
        self, predictions: "tf.Tensor", names: Sequence[str]
    ) -> "dict[str, tf.Tensor]":
        """Returns the outputs of TensorFlow Serving's Classify or Regress.

        Returns:
            `classes` string and `scores`, both [batch, classes]; or
            `outputs` [batch, 1]; or an empty dict.
        """


class PictureNetwork(Network, Protocol):
    """Network whose predictions are resized to the size of each picture.

    Attributes:
        signature_functions: Signature name, such as `serving_default` →
            function that computes its outputs from: outputs of `serve`;
            sizes of the upright pictures, int32 [batch, 2]; how they
            became square.
    """

    signature_functions: "Mapping[str, SignatureFunction]"

    def check_signatures(
        self,
        answers: Mapping[str, Mapping[str, np.ndarray]],
        predictions: np.ndarray,
        sizes: np.ndarray,
        *,
        resize: picture_options.Resize,
        allowed: float,
    ) -> dict[str, dict[str, float]]:
        """Compares an export's outputs with the evaluation's predictions.

        Args:
            answers: Signature name → output name → array.
            predictions: [pictures, …], of the evaluation.
            sizes: int [pictures, 2], heights and widths.
            resize: How the pictures became square.
            allowed: Largest allowed difference of a prediction.

        Returns:
            Signature name → measured differences by name, for parity.json.

        Raises:
            RunError: A prediction differs by more.
        """
