"""Input of an exporter: the model, its labels and the parity reference."""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_finetune import errors
from tf_finetune.config import model_options, picture_options
from tf_finetune.exports import export_flags

if TYPE_CHECKING:
    import keras

    from tf_finetune.inputs import input_protocol, input_rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParityReference:
    """Held-out pictures and the predictions that an export must reproduce.

    Attributes:
        paths: Picture files that the run did not train on, at least one; of a
            model of table rows, the first picture of each row.
        predictions: [pictures, …, outputs], the evaluation's predictions for
            them.
        truth: [pictures, …], their true labels in the form in which the task's
            `exports.load_truth` returns them; None where the run stored none.
        rows: Table rows [pictures] of a model of several inputs, in the order
            of `paths`; empty for a model of single pictures.
        batch_size: Pictures or rows per step of the parity check.
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
        """Number of "pictures" and, for a model of table rows, of "rows"."""
        if not self.rows:
            return {"pictures": len(self.paths)}
        pictures = sum(len(row.paths) for row in self.rows)
        return {"pictures": pictures, "rows": len(self.rows)}

    def batches(self) -> "Iterator[ParityReference]":
        """Yields copies with `batch_size` pictures or rows each, in order."""
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
class AnswerFacts:
    """Facts of a model on which its requests and answers depend.

    Attributes:
        class_names: Names of classes or targets in the order of the outputs.
        image_size: Side of the square input, pixels.
        resize: How a picture becomes square.
        pixels: How picture files are decoded.
        task: Name of the task; sets the outputs of a served model.
        decision: Values that the task chose on validation, such as thresholds.
        inputs: The inputs of a model of table rows, pictures first; empty for
            a model of single pictures.
        out_of_distribution: Whether a served model also returns an
            out-of-distribution score for each picture.
    """

    class_names: tuple[str, ...]
    image_size: int
    resize: picture_options.Resize
    task: str
    pixels: picture_options.PixelOptions = picture_options.DEFAULT_PIXELS
    decision: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    inputs: "tuple[input_protocol.Input, ...]" = ()
    out_of_distribution: bool = False

    @property
    def square(self) -> picture_options.Square:
        """The square that pictures are decoded into."""
        return picture_options.Square(self.image_size, self.resize, self.pixels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportJob(AnswerFacts):
    """One model to export.

    Attributes:
        model: Takes float32 [batch, size, size, 3], RGB 0..255, and returns
            predictions [batch, …, outputs]; it contains preprocessing, not
            augmentation. A model of table rows takes a dictionary of inputs by
            name, see `fused_model.build_model`.
        destination: The folder of exports; for a format of one file also that
            file's path.
        proof: Pictures and predictions of the parity check.
        name: The model's name on a server.
        temperature: Entry of `parity.json` about temperature scaling; None: the
            probabilities are not calibrated.
        quantization_reference: More pictures than `proof`, for formats that are
            checked by the share of equal decisions; None: those of `proof`.
        unit: Divides differences of predictions: 1 for probabilities, else
            [outputs], see `parity_check.compute_units`.
        rounding: The largest difference of a prediction, in `unit`, between
            two correct computations of the model, see
            `parity_check.measure_rounding`.
        measuring_seconds: Time for measuring batch sizes of a server's
            settings; 0: only batches of one picture are timed.
        tolerance: For formats that round weights: by metric, the allowed loss
            in 0..1, in place of the task's bounds; empty: those apply.
        calibration: Training pictures on which a quantized export measures the
            ranges of activations.
        options: Options that the network was built from, for formats that must
            know its backbone; None: they are not known.
        shared: Results that the formats of one command share, such as the
            frozen graph; empty at first, filled by exporters.
    """

    model: "keras.Model"
    destination: pathlib.Path
    proof: ParityReference
    name: str = "model"
    temperature: Mapping[str, Any] | None = None
    quantization_reference: ParityReference | None = None
    unit: float | np.ndarray = 1.0
    rounding: float = 0.0
    measuring_seconds: float = 2.0
    tolerance: Mapping[str, float] = dataclasses.field(default_factory=dict)
    calibration: tuple[str, ...] = ()
    options: model_options.ModelOptions | None = None
    shared: dict[str, Any] = dataclasses.field(
        default_factory=dict, repr=False, compare=False
    )

    def file(self, stem: str, suffix: str) -> pathlib.Path:
        """Returns the path of a file to write, as `export_flags.resolve_file`.

        Args:
            stem: File name without suffix, used if `destination` is a folder.
            suffix: With its dot, such as ".keras".

        Raises:
            UsageError: `destination` is named like a file of another format.
        """
        asked = pathlib.Path(self.destination)
        return export_flags.resolve_file(asked, stem=stem, suffix=suffix)
