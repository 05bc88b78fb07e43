"""Features of numeric and categorical columns, and ridge regression on them.

Numbers are clipped to the range seen in training, by their logarithm where that
is less skewed, standardized, and multiplied with each other. Words are one-hot
encoded; one that was not seen in training is all zeros. Ridge regression draws
the coefficients of rare words towards zero.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import stats

from tf_finetune.solvers import ridge_regression

# Values of a one-hot word that are tried. A feature of 2 needs half the
# coefficient, so that ridge regression penalizes it a quarter as much.
_WORD_WEIGHTS = (1.0, 2.0, 4.0)
# If the largest value of a column is less than this many times its least one,
# the logarithm is nearly a straight line, and float32 blurs it: a date of eight
# digits keeps four.
_LEAST_RATIO = 1.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnEncoding:
    """Encoding of numbers and words as features, fitted on training data.

    Attributes:
        median: [numbers] replaces missing numbers.
        low: [numbers] least value in training.
        high: [numbers] largest value in training.
        logged: [numbers] whether the logarithm is taken.
        mean: [numbers] of the training numbers, after the logarithm; a
            float32, so that the model can subtract it without rounding.
        deviation: [numbers] the same; 1 where it is 0.
        products: Whether products of two numbers are features, too.
        words: For each column of words, those seen in training, sorted.
        word_weight: The value of a word's feature.
    """

    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    logged: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    products: bool
    words: tuple[tuple[str, ...], ...]
    word_weight: float

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """The indices of the two numbers of each product; squares included."""
        if not self.products:
            return np.zeros(0, "int64"), np.zeros(0, "int64")
        return np.triu_indices(len(self.median))

    def __call__(
        self, numbers: np.ndarray, words: Sequence[Sequence[str]]
    ) -> np.ndarray:
        """Encodes rows as features [n, width].

        Args:
            numbers: [n, numbers], NaN where one is missing.
            words: For each row the word of each column.
        """
        # The same steps are built as a graph for the exported model.
        known = np.where(np.isnan(numbers), self.median, numbers)
        bounded = np.clip(known, self.low, self.high)
        values = np.log(bounded, out=bounded.copy(), where=self.logged)
        values = (values - self.mean) / self.deviation
        left, right = self.pairs
        features = [values, values[:, left] * values[:, right]]
        for column, seen in enumerate(self.words):
            mine = np.array([row[column] for row in words], dtype=object)
            hits = mine[:, np.newaxis] == np.array(seen, dtype=object)
            features.append(self.word_weight * hits)
        return np.concatenate(features, axis=1).astype("float64")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnsSolution:
    """Ridge regression of the targets on encoded columns.

    Attributes:
        encoding: Columns → features.
        ridge: Features → targets.
    """

    encoding: ColumnEncoding
    ridge: ridge_regression.Ridge

    def __call__(
        self, numbers: np.ndarray, words: Sequence[Sequence[str]]
    ) -> np.ndarray:
        """Returns predictions [n, targets]."""
        return self.ridge(self.encoding(numbers, words))


def solve_columns(
    numbers: np.ndarray,
    words: Sequence[Sequence[str]],
    targets: np.ndarray,
    *,
    groups: Sequence[str],
    seed: int,
) -> ColumnsSolution:
    """Fits the columns' encoding and ridge regression by cross-validation.

    Args:
        numbers: [n, numbers], NaN where one is missing.
        words: For each row the word of each column.
        targets: [n, targets], standardized.
        groups: A key for each row, as in `ridge_regression.solve_ridge`.
        seed: Of the folds.

    Returns:
        The solution with the lowest squared error on left-out rows.
    """
    best, least = None, np.inf
    for encoding in _build_encodings(numbers, words):
        solved = ridge_regression.solve_ridge(
            encoding(numbers, words),
            targets,
            groups=groups,
            standardized=False,
            seed=seed,
        )
        if best is None or solved.out_of_fold is None:
            best = best or ColumnsSolution(encoding=encoding, ridge=solved)
        # Without folds nothing can be compared: the plain encoding is used.
        if solved.out_of_fold is None:
            return best
        error = float(np.mean((solved.out_of_fold - targets) ** 2))
        if error < least:
            best, least = (
                ColumnsSolution(encoding=encoding, ridge=solved),
                error,
            )
    return best


def _build_encodings(
    numbers: np.ndarray, words: Sequence[Sequence[str]]
) -> list[ColumnEncoding]:
    plain = _fit_encoding(numbers, words)
    width = numbers.shape[1]
    products = [False]
    # More products than a quarter of the rows would only be penalized away.
    if width and width * (width + 1) // 2 <= len(numbers) // 4:
        products.append(True)
    # Without words their weight changes nothing: one trial is enough.
    weights = _WORD_WEIGHTS if plain.words else (1.0,)
    return [
        dataclasses.replace(plain, products=each, word_weight=weight)
        for each in products
        for weight in weights
    ]


def _fit_encoding(
    numbers: np.ndarray, words: Sequence[Sequence[str]]
) -> ColumnEncoding:
    median = _round_to_float32(
        np.array([_compute_median(column) for column in numbers.T])
    )
    known = np.where(np.isnan(numbers), median, numbers)
    logged = np.array([_is_logged(column) for column in known.T], dtype=bool)
    values = np.log(known, out=known.copy(), where=logged)
    deviation = values.std(axis=0)
    count = len(words[0]) if len(words) else 0
    return ColumnEncoding(
        median=median,
        low=known.min(axis=0),
        high=known.max(axis=0),
        logged=logged,
        mean=_round_to_float32(values.mean(axis=0)),
        # Not by the deviation, which rounding leaves above 0.
        deviation=np.where(np.ptp(known, axis=0) > 0, deviation, 1.0),
        products=False,
        words=tuple(
            tuple(sorted({row[column] for row in words}))
            for column in range(count)
        ),
        word_weight=1.0,
    )


def _round_to_float32(values: np.ndarray) -> np.ndarray:
    # As the exported model holds them, so that both subtract the same.
    return values.astype("float32").astype("float64")


def _compute_median(column: np.ndarray) -> float:
    known = column[~np.isnan(column)]
    return float(np.median(known)) if len(known) else 0.0


def _is_logged(column: np.ndarray) -> bool:
    # As for targets: the logarithm if it is less skewed.
    if column.min() <= 0 or column.max() < _LEAST_RATIO * column.min():
        return False
    return abs(stats.skew(np.log(column))) < abs(stats.skew(column))


def compute_r2(targets: np.ndarray, said: np.ndarray) -> float:
    """Computes R² of standardized targets, the mean over several.

    Args:
        targets: [n, targets].
        said: [n, targets].
    """
    errors = ((targets - said) ** 2).sum(axis=0)
    spread = ((targets - targets.mean(axis=0)) ** 2).sum(axis=0)
    return float(np.mean(1 - errors / np.maximum(spread, 1e-12)))
