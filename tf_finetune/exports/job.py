"""Input of an exporter: the model, its labels and the parity reference."""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_finetune import errors
from tf_finetune.config import model_options
from tf_finetune.exports import export_flags

if TYPE_CHECKING:
    import keras

    from tf_finetune.inputs import input_protocol, input_rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParityReference:
    """Held-out pictures and the predictions that an export must reproduce.

    Attributes:
        paths: Files of held-out pictures; of rows each row's first.
        predictions: [pictures, …], the evaluation's predictions for them.
        truth: [pictures, …], their true labels, as the task's
            `exports.load_truth` has them; None where the run stored none.
        rows: Of a model of several inputs, the rows; else empty.
        batch_size: Pictures per step of the parity check.
    """

    paths: tuple[str, ...]
    predictions: np.ndarray
    truth: np.ndarray | None = None
    rows: "tuple[input_rows.Row, ...]" = ()
    batch_size: int = 16

    def __post_init__(self) -> None:
        # No pictures would make every export pass its check.
        if not self.paths or len(self.paths) != len(self.predictions):
            raise errors.UsageError(
                "An export is checked on pictures with known predictions; "
                f"got {len(self.paths)} pictures and "
                f"{len(self.predictions)} rows."
            )

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of pictures and, where there are any, of rows."""
        if not self.rows:
            return {"pictures": len(self.paths)}
        pictures = sum(len(row.paths) for row in self.rows)
        return {"pictures": pictures, "rows": len(self.rows)}

    def batches(self) -> "Iterator[ParityReference]":
        """Yields the same pictures or rows, `batch_size` at a time."""
        for start in range(0, len(self.paths), self.batch_size):
            part = slice(start, start + self.batch_size)
            yield dataclasses.replace(
                self,
                paths=self.paths[part],
                predictions=self.predictions[part],
                truth=None if self.truth is None else self.truth[part],
                rows=self.rows[part],
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportJob:
    """One model to export.

    Attributes:
        model: RGB 0..255 float32 [batch, size, size, 3] → predictions
            [batch, …, outputs]; preprocessing inside, augmentation not. Of
            several inputs these by name, as `fused_model.build_model` has them.
        inputs: The inputs of a model of rows; empty: it takes single pictures.
        class_names: In the order of the model's outputs.
        image_size: Side of the input, pixels.
        resize: How a picture becomes square.
        destination: The folder of exports; for formats of one file also the
            file itself, with the format's suffix.
        proof: Predictions that the export must reproduce before it is done.
        task: Its name; sets the outputs of a served model.
        decision: Values chosen on validation, thresholds for example.
        name: What a server calls the model.
        out_of_distribution: Whether a served model also returns an
            out-of-distribution score for each picture.
        temperature: The temperature scaling of the probabilities, and the
            decision that belongs to it, for the record; None: they are not
            calibrated.
        quantization_reference: More such pictures, for formats that are checked
            by how often they agree; None: those of `proof`.
        unit: Divides differences of predictions: 1 for probabilities, else
            [outputs], see `parity_check.compute_units`.
        rounding: The largest difference of a prediction, in `unit`, between
            two correct computations of the model, see
            `parity_check.measure_rounding`.
        measuring_seconds: How long batch sizes are tried for a server's
            settings; 0: batches of one picture only.
        tolerance: Loss by metric of the task that is allowed to formats that
            round, in place of the task's own bounds; empty: those apply.
        calibration: Files of training pictures, which the ranges of a
            quantized export are measured on.
        pixels: How the files of pictures are decoded.
        shared: Intermediate results that formats of one command share, the
            frozen graph for example; empty at first.
    """

    model: "keras.Model"
    class_names: tuple[str, ...]
    image_size: int
    resize: model_options.Resize
    destination: pathlib.Path
    proof: ParityReference
    task: str
    inputs: "tuple[input_protocol.Input, ...]" = ()
    decision: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    name: str = "model"
    out_of_distribution: bool = False
    temperature: Mapping[str, Any] | None = None
    quantization_reference: ParityReference | None = None
    unit: float | np.ndarray = 1.0
    rounding: float = 0.0
    measuring_seconds: float = 2.0
    tolerance: Mapping[str, float] = dataclasses.field(default_factory=dict)
    calibration: tuple[str, ...] = ()
    pixels: model_options.PixelOptions = model_options.DEFAULT_PIXELS
    shared: dict[str, Any] = dataclasses.field(
        default_factory=dict, repr=False, compare=False
    )

    def file(self, stem: str, suffix: str) -> pathlib.Path:
        """Returns the path to write, as `export_flags.resolve_file` does."""
        asked = pathlib.Path(self.destination)
        return export_flags.resolve_file(asked, stem=stem, suffix=suffix)
