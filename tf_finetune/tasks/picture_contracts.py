"""Further protocols of tasks whose answers are pictures, such as masks."""

import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tf_finetune.config import model_options
from tf_finetune.tasks import contracts

if TYPE_CHECKING:
    import tensorflow as tf

    SignatureFunction = Callable[
        [Mapping[str, tf.Tensor], tf.Tensor, model_options.Resize],
        dict[str, tf.Tensor],
    ]


class PictureNetwork(contracts.Network, Protocol):
    """Network whose answers have the size of each picture.

    Attributes:
        signature_functions: By signature, among them `serving_default`, the
            function that makes the answers to encoded pictures. Its arguments:
            outputs of
            `serve`; sizes of the upright pictures, int32 [batch, 2]; how they
            became square.
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


class AnswerFiles(Protocol):
    """Writes answers that are files of their own, in the order of pictures.

    Attributes:
        table: The name of the CSV file beside them.
        contents: A noun for them: "masks and overlays".
    """

    table: str
    contents: str

    def __init__(
        self,
        paths: Sequence[str],
        names: Sequence[str],
        *,
        folder: pathlib.Path,
        resize: model_options.Resize,
        top_k: int,
        pixels: model_options.PixelOptions = model_options.DEFAULT_PIXELS,
    ) -> None:
        """Starts at the first picture."""

    def write_squares(self, batches: Iterator[np.ndarray]) -> Iterator[Any]:
        """Writes predictions of pictures made square; yields their rows."""

    def write_windows(
        self,
        predict: Callable[[np.ndarray], np.ndarray],
        *,
        size: int,
        overlap: float,
    ) -> Iterator[Any]:
        """Writes predictions made in overlapping windows; yields their rows."""
