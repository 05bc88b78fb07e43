"""What an exporter is given."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_finetune import errors
from tf_finetune.config import model_options, pixel_options
from tf_finetune.exporting import destination

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proof:
    """Pictures with known answers, which an export must reproduce.

    Attributes:
        paths: Files of held-out pictures.
        predictions: [pictures, …], what the evaluation gave for them.
        truth: [pictures, …], what is true of them, as the task's
            `exports.truth` keeps it; None where the run did not.
        batch_size: Pictures per step while proving.
    """

    paths: tuple[str, ...]
    predictions: np.ndarray
    truth: np.ndarray | None = None
    batch_size: int = 16

    def __post_init__(self) -> None:
        if not self.paths or len(self.paths) != len(self.predictions):
            raise errors.UsageError(
                "An export is proven on pictures with known predictions; "
                f"got {len(self.paths)} pictures and "
                f"{len(self.predictions)} rows."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportJob:
    """One model to export.

    Attributes:
        model: RGB 0..255 float32 [batch, size, size, 3] → predictions
            [batch, …, outputs]; preprocessing inside, augmentation not.
        class_names: In the order of the model's outputs.
        image_size: Side of the input, pixels.
        resize: How a picture becomes square.
        destination: The folder of exports; for formats of one file also the
            file itself, with the format's suffix.
        proof: What the export must reproduce before it is done.
        task: Its name; decides what a served model answers.
        decision: What the task decided on validation, thresholds for example.
        name: What a server calls the model.
        out_of_distribution: Whether a served model also says how far a
            picture is from those that were learnt.
        temperature: What calibrating the probabilities did, and the decision
            that goes with them, for the record; None: they are as they were
            trained.
        judging: More such pictures, for formats that are judged by how often
            they agree; None: those of `proof`.
        unit: What differences of predictions count beside: 1 for
            probabilities, else [outputs], see `parity.units`.
        rounding: The largest difference of a prediction, in `unit`, between
            two right computations of the model, see `parity.with_rounding`.
        measuring_seconds: How long batch sizes are tried for a server's
            settings; 0: batches of one picture only.
        tolerance: By figure of the task what formats that round may lose,
            which alone decides then; empty: the task's own bounds do.
        calibration: Files of training pictures, which the ranges of a
            quantised export are measured on.
        pixels: How the files of pictures are decoded.
        shared: What one format computes and the next one can use; empty.
    """

    model: "keras.Model"
    class_names: tuple[str, ...]
    image_size: int
    resize: model_options.Resize
    destination: pathlib.Path
    proof: Proof
    task: str = "classification"
    decision: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    name: str = "model"
    out_of_distribution: bool = False
    temperature: Mapping[str, Any] | None = None
    judging: Proof | None = None
    unit: float | np.ndarray = 1.0
    rounding: float = 0.0
    measuring_seconds: float = 2.0
    tolerance: Mapping[str, float] = dataclasses.field(default_factory=dict)
    calibration: tuple[str, ...] = ()
    pixels: pixel_options.PixelOptions = pixel_options.USUAL
    shared: dict[str, Any] = dataclasses.field(
        default_factory=dict, repr=False, compare=False
    )

    def file(self, stem: str, suffix: str) -> pathlib.Path:
        """Returns the file to write, as `destination.file` does."""
        asked = pathlib.Path(self.destination)
        return destination.file(asked, stem=stem, suffix=suffix)
