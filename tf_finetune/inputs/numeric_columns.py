"""Input of numeric columns: clipped, logarithms, standardized, multiplied.

Numbers are clipped to the range seen in training, by their logarithm where that
is less skewed, standardized, and multiplied with each other.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tf_finetune.config import data_options
from tf_finetune.data.tables import file_locator, float32_range
from tf_finetune.workdir import json_schema

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

BLOCK = "columns"
# If the largest value of a column is less than this many times its least one,
# the logarithm is nearly a straight line, and float32 blurs it: a date of eight
# digits keeps four.
_LEAST_RATIO = 1.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class NumberEncoding:
    """Encoding of numbers as features, fitted on training data.

    Attributes:
        median: [numbers], replaces missing numbers.
        low: [numbers], least value in training; lower ones are clipped.
        high: [numbers], largest value in training; higher ones are clipped.
        logged: [numbers], whether the logarithm is taken.
        mean: [numbers], mean of the training numbers, after the logarithm; a
            float32, so that the model can subtract it without rounding.
        deviation: [numbers], their standard deviation; 1 where it is 0.
        products: Whether products of two numbers are features, too.
    """

    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    logged: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    products: bool = False

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices of first and second factor of each product, two arrays."""
        if not self.products:
            return np.zeros(0, "int64"), np.zeros(0, "int64")
        # The upper triangle and the diagonal: each pair once, and squares.
        return np.triu_indices(len(self.median))

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Encodes numbers as features, in NumPy.

        Args:
            values: [n, numbers], NaN where one is missing.

        Returns:
            float64 [n, width]: standardized numbers, then their products.
        """
        known = np.where(np.isnan(values), self.median, values)
        bounded = np.clip(known, self.low, self.high)
        scaled = np.log(bounded, out=bounded.copy(), where=self.logged)
        scaled = (scaled - self.mean) / self.deviation
        left, right = self.pairs
        products = scaled[:, left] * scaled[:, right]
        return np.concatenate([scaled, products], axis=1)

    def add_layers(self, values: "keras.KerasTensor") -> "keras.KerasTensor":
        """Adds Keras operations that encode [batch, numbers] as `encode`."""
        from keras import ops

        known = ops.where(ops.isnan(values), _as_float32(self.median), values)
        bounded = ops.minimum(
            ops.maximum(known, _as_float32(self.low)), _as_float32(self.high)
        )
        logged = self.logged.astype("float64")
        # log(1) = 0 where no logarithm is taken.
        logarithms = ops.log(
            ops.add(
                ops.multiply(bounded, _as_float32(logged)),
                _as_float32(1 - logged),
            )
        )
        plain = ops.multiply(bounded, _as_float32(1 - logged))
        # Subtract the mean first: for a date of eight digits, x · scale +
        # offset would lose all digits in float32.
        centered = ops.subtract(
            ops.add(logarithms, plain), _as_float32(self.mean)
        )
        scaled = ops.multiply(centered, _as_float32(1 / self.deviation))
        if not self.products:
            return scaled
        left, right = self.pairs
        products = ops.multiply(
            ops.take(scaled, left, axis=1), ops.take(scaled, right, axis=1)
        )
        return ops.concatenate([scaled, products], axis=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NumericColumns:
    """Input of numbers beside the pictures; NaN where one is missing.

    Attributes:
        columns: Names of the table columns, of --numeric_columns.
    """

    columns: tuple[str, ...]

    name, field, block, standardized = "numbers", "numbers", BLOCK, False
    kind = json_schema.Optional(json_schema.Number())

    def read(
        self, cells: Mapping[str, str], where: str, files: file_locator.Locator
    ) -> tuple[float, ...]:
        """Parses the numbers of a row, one a column; NaN for an empty cell.

        Args:
            cells: Text by column.
            where: Names the row in messages.
            files: Not used.

        Raises:
            DataError: A cell is neither empty nor a finite number.
        """
        return tuple(
            float32_range.parse_number(text, f"{where}: the number {column!r}")
            if (text := cells[column].strip())
            else math.nan
            for column in self.columns
        )

    def stack(self, rows: Sequence[tuple[float, ...]]) -> np.ndarray:
        """Stacks numbers as float64 [n, columns], rounded to float32.

        The exported model reads float32, so that the solution is fitted to
        the same values.
        """
        numbers = self.stack_request(rows)
        # TensorFlow takes numbers below the smallest normal float32 for 0.
        numbers[np.abs(numbers) < np.finfo("float32").tiny] = 0
        return numbers.astype("float64")

    def stack_request(self, rows: Sequence[tuple[float, ...]]) -> np.ndarray:
        """Stacks numbers as a request sends them, float32 [n, columns]."""
        numbers = np.array(rows, "float32")
        return numbers.reshape(len(rows), len(self.columns))

    def check(self, rows: Sequence[tuple[float, ...]]) -> None:
        """Checks that float32 can distinguish the numbers of each column.

        Raises:
            DataError: The numbers of a column lie too close together.
        """
        numbers = np.array(rows, "float64").reshape(-1, len(self.columns))
        # Missing numbers become the median of training later.
        for column, values in zip(self.columns, numbers.T, strict=True):
            known = values[~np.isnan(values)]
            if len(known):
                float32_range.check_digits(known, f"the numbers {column!r}")

    def fit_encodings(self, values: np.ndarray) -> list[NumberEncoding]:
        """Fits the encoding without products, and with them from enough rows.

        `values` are those of the training rows, as `stack` returns them. Four
        rows per product are enough.
        """
        plain = _fit_encoding(values)
        count, width = values.shape
        # More products than a quarter of the rows would only be penalized away.
        if width * (width + 1) // 2 > count // 4:
            return [plain]
        return [plain, dataclasses.replace(plain, products=True)]

    def name_parts(self, width: int) -> dict[str, slice]:
        """Returns {"columns": slice(0, width)}: one head on all features."""
        return {BLOCK: slice(0, width)}

    def build(self, image_size: int) -> "keras.KerasTensor":
        """Creates the Keras input, float32 [batch, columns]."""
        import keras

        return keras.Input([len(self.columns)], name=self.name)

    def spec(self, image_size: int) -> "tf.TensorSpec":
        """Describes the request's tensor, float32 [batch, columns]."""
        import tensorflow as tf

        return tf.TensorSpec([None, len(self.columns)], name=self.field)

    def take(self, given: "tf.Tensor") -> "tf.Tensor":
        """Returns the numbers of a request as they are."""
        return given


def make_input(options: data_options.DataOptions) -> NumericColumns | None:
    """Builds the input of `--numeric_columns`; None without any."""
    columns = options.numeric_columns
    return NumericColumns(columns=columns) if columns else None


def _fit_encoding(numbers: np.ndarray) -> NumberEncoding:
    median = _round_to_float32(
        np.array([_compute_median(column) for column in numbers.T])
    )
    known = np.where(np.isnan(numbers), median, numbers)
    logged = np.array([_is_logged(column) for column in known.T], dtype=bool)
    values = np.log(known, out=known.copy(), where=logged)
    deviation = values.std(axis=0)
    return NumberEncoding(
        median=median,
        low=known.min(axis=0),
        high=known.max(axis=0),
        logged=logged,
        mean=_round_to_float32(values.mean(axis=0)),
        # Not by the deviation, which rounding leaves above 0.
        deviation=np.where(np.ptp(known, axis=0) > 0, deviation, 1.0),
    )


def _round_to_float32(values: np.ndarray) -> np.ndarray:
    # As the exported model holds them, so that both subtract the same.
    return values.astype("float32").astype("float64")


def _as_float32(values: np.ndarray) -> np.ndarray:
    # Keras saves NumPy arrays in a model's file, but not lists.
    return np.asarray(values, "float32")


def _compute_median(column: np.ndarray) -> float:
    known = column[~np.isnan(column)]
    return float(np.median(known)) if len(known) else 0.0


def _is_logged(column: np.ndarray) -> bool:
    # As for targets: the logarithm if it is less skewed.
    if column.min() <= 0 or column.max() < _LEAST_RATIO * column.min():
        return False
    from scipy import stats  # Slow to load.

    return abs(stats.skew(np.log(column))) < abs(stats.skew(column))
